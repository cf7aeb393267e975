"""The network's architecture: shapes, its one input that is computed, and where it looks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.matting.network import WIDTHS, MattingNetwork, least_alpha

TINY = (8, 8, 8)


@pytest.mark.parametrize("size", [(8, 8), (16, 40)])
def test_colours_and_alpha_have_the_size_of_the_picture(size: tuple[int, int]) -> None:
    network = MattingNetwork(TINY)
    assert network.multiple == 8
    assert network(torch.rand(2, 3, *size), torch.rand(2, 3)).shape == (2, 4, *size)


def test_the_shipped_shape_stays_small() -> None:
    assert sum(each.numel() for each in MattingNetwork(WIDTHS).parameters()) < 450_000


@settings(max_examples=50, deadline=None)
@given(
    color=st.tuples(*[st.floats(0, 1)] * 3),
    background=st.tuples(*[st.floats(0, 1)] * 3),
    alpha=st.floats(0, 1),
)
def test_no_layer_is_more_transparent_than_the_least_alpha(
    color: tuple[float, ...], background: tuple[float, ...], alpha: float
) -> None:
    flat = torch.tensor(background)[None, :, None, None]
    picture = alpha * torch.tensor(color)[None, :, None, None] + (1 - alpha) * flat
    least = float(least_alpha(picture - flat, flat))
    assert least <= alpha + 1e-3
    assert 0 <= least <= 1
    if least > 1e-3:
        # With that alpha, a colour in 0…1 explains the picture.
        explaining = np.asarray((picture - (1 - least) * flat) / least)
        assert explaining.min() >= -0.01
        assert explaining.max() <= 1.01


def test_the_answer_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    network = MattingNetwork(TINY).eval()
    pictures, backgrounds = torch.rand(3, 3, 16, 16), torch.rand(3, 3)
    together = network(pictures, backgrounds)
    alone = torch.cat([network(p[None], b[None]) for p, b in zip(pictures, backgrounds, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_background_s_colour_is_seen_beside_the_difference() -> None:
    torch.manual_seed(0)
    network = MattingNetwork(TINY).eval()
    difference = 0.1 * torch.rand(1, 3, 16, 16)
    answers = [network(difference + level, torch.full((1, 3), level))[:, 3] for level in (0.2, 0.6)]
    assert not torch.allclose(*answers, atol=1e-6)
