"""Triangulation against exact composites: any layer, any two distinct colours, and pairs that are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layered.arrays import Color, UInt8Array
from layered.errors import UserError
from layered.pixels import premultiply
from stages.matting.triangulation import triangulate
from tests.stages.matting.composites import alpha_error, on_background, shape

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
PAIRS = [(BLACK, WHITE), ((128, 128, 128), WHITE), ((0, 177, 64), (200, 30, 120))]


def random_layer(seed: int) -> UInt8Array:
    """Every alpha with every colour, pixel by pixel, but for a border that shows the background."""
    rng = np.random.default_rng(seed)
    layer = rng.integers(0, 256, (48, 48, 4), dtype=np.uint8)
    layer[:6], layer[-6:], layer[:, :6], layer[:, -6:] = 0, 0, 0, 0
    return layer


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), pair=st.sampled_from(PAIRS))
def test_any_layer_is_recovered_to_rounding(seed: int, pair: tuple[Color, Color]) -> None:
    true = random_layer(seed)
    found = triangulate(*(on_background(true, background, noise=0) for background in pair), *pair)
    assert np.abs(premultiply(found) - premultiply(true)).max() < 2.5 / 255 * (1 if pair == PAIRS[0] else 3)


def test_backgrounds_are_estimated_and_noise_is_borne() -> None:
    true = shape("ring", (200, 60, 150))
    found = triangulate(on_background(true, BLACK, seed=1), on_background(true, WHITE, seed=2))
    assert alpha_error(found, true) < 0.006


@pytest.mark.parametrize("shift", [(2, 0), (0, -3)])
def test_a_render_that_moved_is_refused_with_its_shift(shift: tuple[int, int]) -> None:
    true = shape("ring", (200, 60, 150))
    true[60:70, 40:90, :3] = (20, 200, 30)
    moved = np.roll(true, (shift[1], shift[0]), (0, 1))
    with pytest.raises(UserError, match=f"moved by {-shift[0]} pixels to the right and {-shift[1]} down"):
        triangulate(on_background(true, BLACK, seed=1), on_background(moved, WHITE, seed=2))


def test_two_different_things_are_refused() -> None:
    first, second = shape("ring", (200, 60, 150)), shape("touching", (20, 90, 200))
    with pytest.raises(UserError, match="do not show the same layer"):
        triangulate(on_background(first, BLACK), on_background(second, WHITE))


def test_backgrounds_that_are_too_alike_are_refused() -> None:
    true = shape("disc", (200, 60, 150))
    with pytest.raises(UserError, match="#808080 and #8c8c8c are too alike"):
        triangulate(*(on_background(true, (level,) * 3, noise=0) for level in (128, 140)))


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="128×128 and 64×64"):
        triangulate(on_background(shape("disc", BLACK), WHITE), on_background(shape("disc", BLACK, 64), BLACK))
