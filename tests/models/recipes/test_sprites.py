"""Sprites, styles and scenes: what the models learn from is what the vocabulary says."""

import numpy as np
import pytest

from layered.errors import UserError
from models.recipes.scenes import paint, soften
from models.recipes.sprites import apply_style, on_gray, place
from models.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize("style", VOCABULARY.styles)
@pytest.mark.parametrize("label", ["dog", "tower", "cloud", "black ring", "white star"])
def test_a_placed_sprite_is_visible_inside_the_frame_and_leaves_the_background_alone(
    label: str, style: str, emoji_font: None
) -> None:
    layer = place(label, style, 0.8, (0.02, -0.02))
    alpha = np.asarray(layer)[..., 3]
    assert layer.size == (96, 96)
    assert alpha[0].max() == alpha[-1].max() == alpha[:, 0].max() == alpha[:, -1].max() == 0
    rows = np.flatnonzero((alpha > 127).any(axis=1))
    columns = np.flatnonzero((alpha > 127).any(axis=0))
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    assert 0.7 * 96 <= longer <= 0.9 * 96
    flattened = on_gray(layer).astype(int)
    assert (flattened[alpha == 0] == 128).all()
    # Nobody could matte what has the background's colour.
    contrast = np.abs(flattened[alpha > 127] - 128).max(axis=1)
    assert (contrast > 12).mean() > 0.6


def test_styles_change_the_picture_and_the_default_does_not(emoji_font: None) -> None:
    plain = place("apple", "cartoon", 0.8, (0.0, 0.0))
    assert apply_style(plain, "cartoon") == plain
    drawn = {style: on_gray(place("apple", style, 0.8, (0.0, 0.0))).astype(int) for style in VOCABULARY.styles}
    for style in VOCABULARY.styles[1:]:
        assert np.abs(drawn[style] - drawn["cartoon"]).mean() > 1


def test_an_unknown_style_is_a_users_mistake(emoji_font: None) -> None:
    with pytest.raises(UserError, match="baroque"):
        place("apple", "baroque", 0.8, (0.0, 0.0))


@pytest.mark.parametrize("shape", VOCABULARY.shapes)
def test_a_shape_has_its_color(shape: str) -> None:
    layer = np.asarray(place(f"teal {shape}", "cartoon", 0.8, (0.0, 0.0)))
    solid = layer[layer[..., 3] == 255][:, :3]
    assert len(solid) > 500
    assert np.abs(np.median(solid, axis=0) - VOCABULARY.colors["teal"]).max() <= 1
    # Lanczos overshoots a little at edges.
    assert np.abs(solid.astype(int) - VOCABULARY.colors["teal"]).max() <= 24


@pytest.mark.parametrize("size", [(96, 96), (128, 80), (40, 72)])
def test_every_scene_fills_its_frame_and_follows_its_seed(size: tuple[int, int]) -> None:
    for scene in VOCABULARY.scenes.values():
        color = "orange" if scene.takes_color else None
        one, again, other = (paint(scene.name, color, size, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert one.shape == (size[1], size[0], 3)
        assert (one == again).all()
        if scene.name not in ("stripes", "dots"):
            assert (one != other).any(), scene.name
        for style in VOCABULARY.styles:
            assert soften(one, style, np.random.default_rng(3)).shape == one.shape
