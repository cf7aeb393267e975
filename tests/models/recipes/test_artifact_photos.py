"""Photo-like things: layers that could be photographs of something, alike every time for one seed."""

from collections.abc import Callable

import numpy as np
import pytest

from models.recipes.artifact_photos import figure, photo_sprite, room
from models.recipes.matting_textures import Values

SIDE = 96


@pytest.mark.parametrize("render", [figure, photo_sprite])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.usefixtures("emoji_font")
def test_a_layer_is_premultiplied_visible_and_repeats_itself(
    render: Callable[[int, np.random.Generator], Values], seed: int
) -> None:
    layer = render(SIDE, np.random.default_rng(seed))
    assert layer.shape == (SIDE, SIDE, 4)
    assert layer.min() >= 0
    assert layer.max() <= 1
    assert (layer[..., :3] <= layer[..., 3:] + 1e-6).all()
    assert 0.01 < layer[..., 3].mean() < 0.95
    assert np.array_equal(layer, render(SIDE, np.random.default_rng(seed)))
    assert not np.array_equal(layer, render(SIDE, np.random.default_rng(seed + 100)))


def test_a_room_fills_its_picture() -> None:
    picture = room(SIDE, np.random.default_rng(3))
    assert picture.shape == (SIDE, SIDE, 3)
    assert 0 <= picture.min() < picture.max() <= 1


def test_what_is_made_up_looks_different_on_its_two_sides_by_light_and_view_alone() -> None:
    """Over many figures the outline is nearly its own mirror image."""
    overlaps = []
    for seed in range(12):
        alpha = figure(SIDE, np.random.default_rng(seed))[..., 3] > 0.5
        overlaps.append((alpha & alpha[:, ::-1]).sum() / max((alpha | alpha[:, ::-1]).sum(), 1))
    assert np.median(overlaps) > 0.6
