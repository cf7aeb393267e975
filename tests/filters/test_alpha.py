"""Each alpha check tells sound layers from its own kind of broken ones, at any size and without noticing the margin."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.alpha import ALPHA_SCORES, AlphaChecks, alpha_scores
from filters.config import FiltersConfig
from filters.filter import FilterInput
from layered.arrays import UInt8Array
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.pixels import resize
from layered.sidecar import LayerRecord, Sidecar
from tests.filters.drawings import GRAY, SIDE, dotted, drawing, drawings, grown, raw_of, with_alpha

THRESHOLDS = FiltersConfig().thresholds()


def flagged(rgba: UInt8Array, raw: UInt8Array | None = None) -> set[str]:
    return {name for name, score in alpha_scores(rgba, raw).items() if score < THRESHOLDS[name]}


@settings(max_examples=40, deadline=None)
@given(rgba=drawings(), side=st.integers(48, 300))
def test_a_sound_layer_is_flagged_by_nothing_at_any_size(rgba: UInt8Array, side: int) -> None:
    assert flagged(rgba, raw_of(rgba)) == set()
    assert flagged(resize(rgba, (side, side)), raw_of(rgba)) == set()


@settings(max_examples=20, deadline=None)
@given(rgba=drawings(), margin=st.integers(0, 60))
def test_the_margin_changes_no_score(rgba: UInt8Array, margin: int) -> None:
    wider = np.pad(rgba, ((margin, margin), (0, margin), (0, 0)))
    assert alpha_scores(wider, raw_of(rgba)) == alpha_scores(rgba, raw_of(rgba))


@settings(max_examples=20, deadline=None)
@given(rgba=drawings(), left=st.floats(0, 0.15))
def test_a_layer_that_nearly_vanished_is_empty(rgba: UInt8Array, left: float) -> None:
    assert "alpha_empty" in flagged(with_alpha(rgba, rgba[..., 3] * left), raw_of(rgba))


def test_a_drawing_of_nothing_is_empty() -> None:
    blank = np.full((64, 64, 3), GRAY, np.uint8)
    blank[30:33, 30:33] = 255
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[30:33, 30:33] = 255
    assert "alpha_empty" in flagged(rgba, blank)


@settings(max_examples=20, deadline=None)
@given(rgba=drawings())
def test_a_matte_that_kept_the_whole_frame_is_a_rectangle(rgba: UInt8Array) -> None:
    full = with_alpha(rgba, np.full(rgba.shape[:2], 255.0))
    assert {"alpha_rectangle", "alpha_leftover"} <= flagged(full, raw_of(rgba))


def test_a_picture_that_fills_its_box_is_a_rectangle() -> None:
    photo = np.dstack([np.indices((SIDE, SIDE)).sum(axis=0) % 256] * 3 + [np.full((SIDE, SIDE), 255)]).astype(np.uint8)
    assert "alpha_rectangle" in flagged(photo)


def test_a_rectangle_that_was_drawn_is_sound() -> None:
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[30:90, 20:110] = (200, 30, 30, 255)
    assert flagged(rgba, raw_of(rgba)) == set()
    assert flagged(rgba) == set()
    rgba[40:80, 30:100:10] = (250, 250, 250, 255)  # a book with a pattern
    assert flagged(rgba, raw_of(rgba)) == set()


def test_a_drawing_that_fills_its_frame_is_a_rectangle() -> None:
    scene = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    opaque = np.dstack([scene, np.full((SIDE, SIDE), 255, np.uint8)])
    assert "alpha_rectangle" in flagged(opaque, scene)


@settings(max_examples=30, deadline=None)
@given(rgba=drawings(), axis=st.integers(0, 1), forward=st.booleans())
def test_what_the_frame_cuts_is_cut(rgba: UInt8Array, axis: int, forward: bool) -> None:
    half = SIDE // 2 if forward else -(SIDE // 2)
    moved = np.roll(rgba, half, axis=axis)
    gone = [slice(None), slice(None)]
    gone[axis] = slice(None, SIDE // 2) if forward else slice(SIDE // 2, None)
    moved[tuple(gone)] = 0
    assert "alpha_cut" in flagged(moved, raw_of(moved))


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(["disc", "star", "tree", "stripes"]), count=st.integers(6, 10), seed=st.integers(0, 99))
def test_a_matte_full_of_holes_has_holes(kind: str, count: int, seed: int) -> None:
    rgba = drawing(kind, (30, 60, 200), 0.9)
    assert "alpha_holes" in flagged(dotted(rgba, count, 3, True, seed), raw_of(rgba))


@pytest.mark.parametrize("count", [1, 3, 7])
def test_holes_that_were_drawn_are_sound(count: int) -> None:
    rgba = dotted(drawing("disc", (30, 60, 200), 0.9), count, 4, True, 5)
    assert flagged(rgba, raw_of(rgba)) == set()


@settings(max_examples=20, deadline=None)
@given(rgba=drawings(), count=st.integers(8, 16), seed=st.integers(0, 99))
def test_specks_around_the_object_are_specks(rgba: UInt8Array, count: int, seed: int) -> None:
    assert "alpha_specks" in flagged(dotted(rgba, count, 1, False, seed), raw_of(rgba))


def test_sparks_that_were_drawn_are_sound() -> None:
    sparkling = dotted(drawing("star", (30, 60, 200), 0.7), 12, 1, False, 5)
    sparkling[(sparkling[..., 3] > 0) & (sparkling[..., :3] == GRAY).all(axis=-1), :3] = (250, 220, 40)
    assert flagged(sparkling, raw_of(sparkling)) == set()


@settings(max_examples=20, deadline=None)
@given(rgba=drawings(), alpha=st.integers(50, 110))
def test_haze_is_left_over(rgba: UInt8Array, alpha: int) -> None:
    assert "alpha_leftover" in flagged(with_alpha(rgba, np.maximum(rgba[..., 3], alpha).astype(float)), raw_of(rgba))


@settings(max_examples=20, deadline=None)
@given(rgba=drawings())
def test_a_piece_of_background_is_left_over(rgba: UInt8Array) -> None:
    assert "alpha_leftover" in flagged(grown(rgba, 16), raw_of(rgba))


@settings(max_examples=20, deadline=None)
@given(rgba=drawings(), width=st.integers(3, 4))
def test_an_outline_of_background_is_a_halo(rgba: UInt8Array, width: int) -> None:
    assert "alpha_halo" in flagged(grown(rgba, width), raw_of(rgba))


@settings(max_examples=20, deadline=None)
@given(rgba=drawings())
@example(rgba=drawing("tree", (220, 40, 40), 0.512))
def test_a_wide_outline_is_a_halo_or_around_a_small_thing_left_over_background(rgba: UInt8Array) -> None:
    assert flagged(grown(rgba, 5), raw_of(rgba)) & {"alpha_halo", "alpha_leftover"}


@settings(max_examples=60, deadline=None)
@given(
    pixels=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    with_raw=st.booleans(),
)
def test_any_pixels_get_scores_between_0_and_1(pixels: int, size: tuple[int, int], with_raw: bool) -> None:
    rng = np.random.default_rng(pixels)
    rgba = rng.integers(0, 256, (*size, 4), dtype=np.uint8)
    rgba[..., 3] *= rng.integers(0, 2, size, dtype=np.uint8)
    raw = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8) if with_raw else None
    scores = alpha_scores(rgba, raw)
    assert scores.keys() <= set(ALPHA_SCORES)
    assert all(0 <= score <= 1 for score in scores.values())


def test_nothing_visible_fails_every_check() -> None:
    assert alpha_scores(np.zeros((9, 9, 4), np.uint8)) == dict.fromkeys(ALPHA_SCORES, 0.0)


def record(index: int, kind: str, pixels: UInt8Array) -> LayerRecord:
    box = (0, 0, pixels.shape[1], pixels.shape[0])
    return LayerRecord.model_validate(
        {"index": index, "kind": kind, "caption": "a thing", "box": box, "layout_box": box, "seed": 0, "attempt": 0}
        | dict.fromkeys(("sha256", "model", "revision", "licence"), "")
    )


def test_the_filter_scores_pictures_fully_and_texts_for_being_there() -> None:
    picture = drawing("star", (220, 40, 40))
    layers = tuple(Layer(picture, Box(0, 0, SIDE, SIDE)) for _ in range(3))
    sidecar = Sidecar(
        id="s1",
        canvas=(SIDE, SIDE),
        style_category="cartoon",
        whole_caption="",
        base_caption="",
        layer_count=3,
        layers=tuple(record(n, kind, picture) for n, kind in enumerate(["image", "text", "image"])),
    )
    image = LayeredImage(np.zeros((SIDE, SIDE, 3), np.uint8), layers)
    (result,) = AlphaChecks().score([FilterInput("s1", image, sidecar, {0: raw_of(picture)})])
    names = {index: {row.name for row in result.scores if row.layer_index == index} for index in range(3)}
    assert names[0] == set(ALPHA_SCORES)
    assert names[1] == {"alpha_empty"}
    assert names[2] == {"alpha_empty", "alpha_rectangle"}  # its raw was not kept
    assert {row.sample_id for row in result.scores} == {"s1"}
