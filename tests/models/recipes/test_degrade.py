"""What recognisers are trained on stays recognisable and stands on gray."""

import pytest
import torch

from models.recipes import degrade
from models.recipes.degrade import SOURCE_SIDE, drawn_layers


@pytest.fixture
def red_disc(monkeypatch: pytest.MonkeyPatch) -> None:
    """One label in one style: a red disc that fills its frame."""
    grid = torch.arange(SOURCE_SIDE) - (SOURCE_SIDE - 1) / 2
    disc = (grid[:, None] ** 2 + grid**2 < (0.47 * SOURCE_SIDE) ** 2).byte() * 255
    sprite = torch.stack([disc, 0 * disc, 0 * disc, disc])[None, None]
    monkeypatch.setattr(degrade, "all_sprites", lambda: sprite)


def test_the_object_keeps_its_color_and_size_and_the_frame_stays_gray(red_disc: None) -> None:
    zeros = torch.zeros(64, dtype=torch.long)
    images = drawn_layers(zeros, zeros, 48, (0.5, 0.9), torch.Generator().manual_seed(0))
    assert images.shape == (64, 3, 48, 48)
    assert 0 <= images.min() <= images.max() <= 1
    red = (images[:, 0] > 0.65) & (images[:, 1] < 0.35)
    widths = red.any(1).sum(1) / 48
    assert widths.min() > 0.3
    assert widths.max() < 1.0
    corners = images[:, :, :2, :2]
    assert (corners - 0.5).abs().median() < 0.03


def test_the_same_generator_gives_the_same_pictures(red_disc: None) -> None:
    zeros = torch.zeros(4, dtype=torch.long)
    one, again, other = (
        drawn_layers(zeros, zeros, 32, (0.5, 0.9), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
