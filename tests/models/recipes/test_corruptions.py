"""Corruptions: each changes what it says it changes, leaves the rest alone, and depends on its generator alone."""

import numpy as np
import pytest

from layered.arrays import UInt8Array
from layered.pixels import premultiply
from models.recipes.corruptions import ALPHA_CORRUPTIONS, APPLICABLE, CORRUPTIONS, Mask, Sample, with_alpha
from models.recipes.sprites import BACKGROUND
from tests.filters.drawings import drawing, raw_of

pytestmark = pytest.mark.usefixtures("emoji_font")

ALL = CORRUPTIONS | ALPHA_CORRUPTIONS
OF_THE_MATTE = ("leftover", "halo", "holes", "specks", *ALPHA_CORRUPTIONS)
STYLE = "cartoon"


def striped() -> Sample:
    rgba = drawing("stripes", (220, 40, 40), 0.7)
    return Sample("sprite", rgba, raw_of(rgba), label="apple", style=STYLE, caption="an apple")


def written() -> Sample:
    """Six letters' worth of bars."""
    ink = np.zeros((96, 160), np.float32)
    for letter in range(6):
        left = 10 + 24 * letter
        ink[20:76, left : left + 6] = 1
        ink[20 + 8 * letter : 26 + 8 * letter, left : left + 16] = 1
    color = np.array([0.2, 0.3, 0.9], np.float32)
    rgba = np.dstack([np.broadcast_to(np.rint(255 * color), (96, 160, 3)), 255 * ink]).astype(np.uint8)
    rgba[ink == 0] = 0
    return Sample("text", rgba, ink=ink, ink_color=color)


def broken(kind: str, seed: int = 5) -> Sample:
    sample = written() if kind == "lettering" else striped()
    return ALL[kind](sample, np.random.default_rng(seed))


def changed(before: UInt8Array, after: UInt8Array) -> float:
    """Mean difference of premultiplied values."""
    return float(np.abs(premultiply(before) - premultiply(after)).mean())


@pytest.mark.parametrize("kind", ALL)
def test_a_corruption_is_seen_and_repeats_itself(kind: str) -> None:
    before = written() if kind == "lettering" else striped()
    after = broken(kind)
    assert changed(before.rgba, after.rgba) > 0.003
    assert np.array_equal(after.rgba, broken(kind).rgba)
    assert not after.rgba[after.rgba[..., 3] == 0].any()
    assert after.rgba.shape == before.rgba.shape


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "lettering"])
def test_a_fault_of_the_matte_is_not_in_the_drawing_and_one_of_the_drawing_is(kind: str) -> None:
    before, after = striped(), broken(kind)
    assert before.raw is not None
    assert after.raw is not None
    same = np.array_equal(before.raw, after.raw)
    assert same == (kind in OF_THE_MATTE)


@pytest.mark.parametrize("kind", ["cut", "several", "malformed", "blur", "seams", "noise"])
def test_layer_and_drawing_change_alike(kind: str) -> None:
    after = broken(kind)
    assert after.raw is not None
    over = premultiply(after.rgba)
    flat = np.array(BACKGROUND, np.float32) / 255
    expected = over[..., :3] + (1 - over[..., 3:]) * flat
    assert np.abs(expected - after.raw.astype(np.float32) / 255).mean() < 0.01


def test_letters_change_where_letters_are() -> None:
    before, after = written(), broken("lettering")
    assert before.ink is not None
    rows, columns = np.nonzero(changed_pixels(before, after))
    shown = np.nonzero(before.ink > 0)
    assert rows.min() >= shown[0].min()
    assert rows.max() <= shown[0].max()
    assert columns.min() >= shown[1].min()
    assert columns.max() <= shown[1].max()


def changed_pixels(before: Sample, after: Sample) -> Mask:
    changes: Mask = np.abs(before.rgba.astype(int) - after.rgba).max(axis=-1) > 8
    return changes


def test_more_alpha_shows_the_drawing() -> None:
    before = striped()
    full = with_alpha(before, np.full(before.rgba.shape[:2], 255.0))
    assert before.raw is not None
    hidden = before.rgba[..., 3] == 0
    assert np.array_equal(full.rgba[hidden, :3], before.raw[hidden])


@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "lettering"])
def test_nothing_to_break_breaks_nothing(kind: str) -> None:
    empty = np.zeros((64, 64, 4), np.uint8)
    after = CORRUPTIONS[kind](Sample("sprite", empty, raw_of(empty), style=STYLE), np.random.default_rng(1))
    assert after.rgba.shape == empty.shape


@pytest.mark.parametrize("kind", APPLICABLE["whole"])
def test_a_whole_image_stays_opaque(kind: str) -> None:
    rng = np.random.default_rng(2)
    picture = np.kron(rng.integers(0, 255, (6, 9, 3)), np.ones((16, 16, 1), int)).astype(np.uint8)
    whole = Sample("whole", np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))
    after = CORRUPTIONS[kind](whole, rng)
    assert (after.rgba[..., 3] >= 254).all()
    assert changed(whole.rgba, after.rgba) > 0.003
