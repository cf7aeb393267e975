"""The keyer against exact composites: photo-like layers, closed-form shapes, and the soft edges of small drawings."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from layered.arrays import Color, UInt8Array
from layered.compositing import over_color
from layered.pixels import premultiply, resize
from layered.placing import alpha_box
from stages.matting import MattingConfig, matter_of
from stages.multi_layer_flux import ComposeConfig
from tests.stages.matting.composites import GRAY, alpha_error, on_background, real_layers, shape

NATIVE = matter_of(MattingConfig(min_side=1))


def distance_holes_core(rgb: UInt8Array, background: Color) -> UInt8Array:
    """The recipe to beat: distance to the background, holes filled, solid core; with the best of its settings."""
    distance = np.abs(rgb.astype(float) - background).max(axis=-1)
    alpha = np.clip((distance - 4) / 56, 0, 1)
    core = ndimage.binary_erosion(ndimage.binary_fill_holes(alpha > 0.5), iterations=3)
    return np.dstack([rgb, np.rint(255 * np.maximum(alpha, core)).astype(np.uint8)])


def mean_error(layers: Sequence[UInt8Array], matte: Callable[[UInt8Array], UInt8Array]) -> float:
    errors = (alpha_error(matte(on_background(true, GRAY, seed=n)), true) for n, true in enumerate(layers))
    return float(np.mean(list(errors)))


@pytest.mark.parametrize(
    ("pattern", "bound"), [("semi_transparent/*/fg.png", 0.025), ("opaque_scenes/*/layer_?.png", 0.0022)]
)
def test_photo_like_layers_come_out_closer_than_by_the_simple_recipe(
    shared_dir: Path, pattern: str, bound: float
) -> None:
    layers = real_layers(shared_dir, pattern)
    ours = mean_error(layers, lambda rgb: NATIVE.matte(rgb)[0])
    simple = mean_error(layers, lambda rgb: distance_holes_core(rgb, GRAY))
    assert ours < bound
    assert ours < 0.9 * simple


def test_colours_are_freed_from_the_background(shared_dir: Path) -> None:
    errors = []
    for number, true in enumerate(real_layers(shared_dir, "opaque_scenes/*/layer_?.png")):
        found, _ = NATIVE.matte(on_background(true, GRAY, seed=number))
        visible = np.minimum(true[..., 3], found[..., 3]).astype(float)
        differences = np.abs(found[..., :3].astype(float) - true[..., :3]).mean(axis=-1) / 255
        errors.append(np.average(differences, weights=visible))
    assert np.mean(errors) < 0.012


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["disc", "ring"]),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    background=st.sampled_from([GRAY, (255, 255, 255), (0, 0, 0), (0, 177, 64), (120, 130, 125)]),
    seed=st.integers(0, 99),
)
def test_a_shape_that_stands_out_is_recovered(kind: str, color: Color, background: Color, seed: int) -> None:
    if max(abs(a - b) for a, b in zip(color, background, strict=True)) < 45:
        return
    true = shape(kind, color)
    found, estimated = NATIVE.matte(on_background(true, background, seed=seed))
    assert np.abs(np.subtract(estimated, background)).max() <= 1
    assert alpha_error(found, true) < 0.004
    solid = true[..., 3] == 255
    assert np.abs(found[solid][:, :3].astype(int) - color).mean() < 3


@settings(max_examples=20, deadline=None)
@given(color=st.tuples(*[st.integers(0, 255)] * 3), seed=st.integers(0, 99))
def test_what_is_composited_again_is_the_picture(color: Color, seed: int) -> None:
    picture = on_background(shape("disc", color), GRAY, seed=seed)
    found, background = NATIVE.matte(picture)
    difference = np.abs(over_color(found, background).astype(int) - picture.astype(int))
    assert difference.mean() < 2.5
    assert difference.max() <= 45


def test_a_gray_object_has_no_holes() -> None:
    body = shape("disc", (188, 188, 188))
    body[50:78, 50:78, :3] = (137, 136, 139)  # nearly the background, inside the object
    found, _ = NATIVE.matte(on_background(body, GRAY))
    assert (found[48:80, 48:80, 3] == 255).all()


def test_the_thin_gray_line_between_black_and_white_is_no_hole() -> None:
    body = shape("disc", (255, 255, 255))
    body[:, 64:, :3] = 0
    soft = ndimage.gaussian_filter(over_color(body, GRAY).astype(float), (1.2, 1.2, 0))
    found, _ = NATIVE.matte(np.rint(soft).astype(np.uint8))
    assert (found[40:88, 50:78, 3] == 255).all()


def test_a_real_hole_stays_open() -> None:
    found, _ = NATIVE.matte(on_background(shape("ring", (200, 30, 30)), GRAY))
    assert (found[56:72, 56:72, 3] == 0).all()


def test_small_drawings_get_smooth_edges() -> None:
    color = (220, 40, 40)
    small = on_background(shape("disc", color, 64), GRAY)
    found, _ = matter_of(MattingConfig(min_side=256)).matte(small)
    assert found.shape == (256, 256, 4)
    assert alpha_error(found, shape("disc", color, 256)) < 0.01
    # Along the outline alpha passes through many values, where nearest-neighbour enlargement would give few.
    assert np.unique(found[..., 3]).size > 60


def test_the_fringe_does_not_show_the_background() -> None:
    true = shape("disc", (255, 255, 255), 64)
    found, _ = matter_of(MattingConfig()).matte(on_background(true, GRAY, noise=0))
    fringe = (found[..., 3] > 30) & (found[..., 3] < 220)
    assert found[fringe][:, :3].mean() > 245
    over_white = over_color(found, (255, 255, 255))
    assert over_white.min() > 235


def test_the_frame_does_not_cut_the_object_off() -> None:
    true = shape("touching", (30, 60, 200))
    found, background = NATIVE.matte(on_background(true, GRAY))
    assert np.abs(np.subtract(background, GRAY)).max() <= 1
    assert (found[-1, 52:76, 3] == 255).all()


def test_nothing_drawn_is_nothing_left() -> None:
    empty = np.zeros((64, 64, 4), np.uint8)
    found, _ = matter_of(MattingConfig()).matte(on_background(empty, GRAY, noise=2))
    assert alpha_box(found, ComposeConfig().trim_threshold) is None


def test_hidden_colours_are_cleared() -> None:
    found, _ = NATIVE.matte(on_background(shape("disc", (255, 0, 0)), GRAY))
    assert not found[found[..., 3] == 0].any()


def test_the_given_background_is_believed() -> None:
    picture = on_background(shape("disc", (200, 30, 30)), (255, 255, 255), noise=0)
    _, background = NATIVE.matte(picture, (250, 250, 250))
    assert background == (250, 250, 250)


def test_enlarging_leaves_the_object_where_it_was() -> None:
    small = shape("ring", (20, 120, 220), 64)
    found, _ = matter_of(MattingConfig(min_side=192)).matte(on_background(small, GRAY, noise=0))
    back = premultiply(resize(found, (64, 64)))
    assert np.abs(back[..., 3] - premultiply(small)[..., 3]).mean() < 0.012
