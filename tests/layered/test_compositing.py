from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from layered import Box
from layered.compositing import composite, over_color
from layered.png import decode_png
from tests.layered.strategies import boxes, pictures


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@given(pictures(3, 16), pictures(4, 16), st.integers(-20, 20), st.integers(-20, 20))
def test_one_layer_agrees_with_pillow_wherever_it_stands(
    base: np.ndarray, rgba: np.ndarray, left: int, top: int
) -> None:
    height, width = rgba.shape[:2]
    ours = composite(base, [(rgba, Box(left, top, left + width, top + height))])
    canvas = Image.fromarray(base).convert("RGBA")
    overlay = Image.new("RGBA", canvas.size)
    overlay.paste(Image.fromarray(rgba), (left, top))
    pillow = np.asarray(Image.alpha_composite(canvas, overlay).convert("RGB"))
    assert difference(ours, pillow) <= 1


@given(pictures(3, 8), st.lists(st.tuples(pictures(4, 8), st.integers(-4, 8), st.integers(-4, 8)), max_size=5))
def test_many_layers_agree_with_the_formula_in_float64(
    base: np.ndarray, layers: list[tuple[np.ndarray, int, int]]
) -> None:
    expected = base / 255.0
    for rgba, left, top in layers:
        for y, x in np.ndindex(rgba.shape[:2]):
            if 0 <= y + top < base.shape[0] and 0 <= x + left < base.shape[1]:
                alpha = rgba[y, x, 3] / 255.0
                below = expected[y + top, x + left]
                expected[y + top, x + left] = alpha * rgba[y, x, :3] / 255.0 + (1 - alpha) * below
    placed = [(rgba, Box(x, y, x + rgba.shape[1], y + rgba.shape[0])) for rgba, x, y in layers]
    assert np.abs(composite(base, placed) - expected * 255).max() <= 0.5 + 1e-3


@given(pictures(3, 12), boxes(12))
def test_an_invisible_layer_changes_nothing(base: np.ndarray, box: Box) -> None:
    invisible = np.zeros((box.height, box.width, 4), np.uint8)
    assert np.array_equal(composite(base, [(invisible, box)]), base)


def test_pixels_that_do_not_fill_their_box_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fill its box"):
        composite(np.zeros((4, 4, 3), np.uint8), [(np.zeros((2, 2, 4), np.uint8), Box(0, 0, 3, 2))])


def test_over_color_mixes_by_alpha() -> None:
    half = np.array([[[255, 0, 0, 128]]], np.uint8)
    assert over_color(half, (0, 0, 255)).tolist() == [[[128, 0, 127]]]


def test_real_scenes_are_composited_within_one_step(shared_dir: Path) -> None:
    scenes = sorted((shared_dir / "real_layers" / "opaque_scenes").iterdir())
    assert scenes
    for scene in scenes:
        base = decode_png((scene / "bg.png").read_bytes())[..., :3]
        layers = [decode_png(path.read_bytes()) for path in sorted(scene.glob("layer_*.png"))]
        placed = [(rgba, Box.canvas((rgba.shape[1], rgba.shape[0]))) for rgba in layers]
        whole = decode_png((scene / "whole.png").read_bytes())[..., :3]
        assert difference(composite(base, placed), whole) <= 1, scene.name


def test_real_glass_smoke_and_hair_are_composited_within_one_step(shared_dir: Path) -> None:
    cases = sorted((shared_dir / "real_layers" / "semi_transparent").iterdir())
    assert cases
    for case in cases:
        base, front, merged = (decode_png((case / f"{name}.png").read_bytes()) for name in ("bg", "fg", "merged"))
        ours = composite(base[..., :3], [(front, Box.canvas((front.shape[1], front.shape[0])))])
        assert difference(ours, merged[..., :3]) <= 1, case.name
