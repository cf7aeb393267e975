"""Every way to break a sound layer, or a sound whole image: one function per defect, of random strength.

A fault of the drawing (cut, several, blur …) is in the RGB before matting too; a fault of the matte (halo, holes …) is
not. Lengths are parts of the picture's side, so that a fault looks the same at any size.

What a person could not see is no fault: where no draw changes the picture, or stands out, as much as the bound that is
given for its kind, the sample itself is returned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from layered.arrays import Color, FloatArray, UInt8Array
from layered.pixels import clear_hidden, premultiply, round_to_uint8, unpremultiply
from models.recipes.sprites import BACKGROUND, place
from models.vocabulary import load_vocabulary

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """A layer or a whole image as filters meet it.

    Attributes:
        source: where it comes from; a name of `APPLICABLE`.
        rgba: straight ``[h, w, 4]``; a whole image is opaque.
        raw: RGB before matting ``[h, w, 3]``, None for what was never matted: texts and whole images.
        background: the raw's flat colour.
        ink: of a text, the coverage of its letters ``[h, w]`` in 0…1, for `lettering`.
        ink_color: of a text, straight RGB in 0…1.
        label, style, caption: of what the vocabulary knows.
    """

    source: str
    rgba: UInt8Array
    raw: UInt8Array | None = None
    background: Color = BACKGROUND
    ink: FloatArray | None = None
    ink_color: FloatArray | None = None
    label: str = ""
    style: str = ""
    caption: str = ""

    @property
    def side(self) -> int:
        """The longer side in pixels."""
        height, width = self.rgba.shape[:2]
        return int(max(height, width))


Corruption = Callable[[Sample, np.random.Generator], Sample]


def emptied(sample: Sample, rng: np.random.Generator) -> Sample:
    """Next to nothing is left: up to an eighth of the alpha."""
    return with_alpha(sample, sample.rgba[..., 3] * rng.uniform(0.05, 0.12))


def rectangle(sample: Sample, rng: np.random.Generator) -> Sample:
    """The matte kept the whole frame."""
    return with_alpha(sample, np.full(sample.rgba.shape[:2], 255.0))


def cut(sample: Sample, rng: np.random.Generator) -> Sample:
    """An eighth to a half of the object lies outside the frame."""
    rows, columns = np.nonzero(sample.rgba[..., 3] > 127)
    if not rows.size:
        return sample
    axis = int(rng.integers(2))
    inside = int(np.quantile((rows, columns)[axis], rng.uniform(0.12, 0.5)))
    shift = -inside if rng.random() < 0.5 else sample.rgba.shape[axis] - inside
    raw = None if sample.raw is None else _shifted(sample.raw, shift, axis, sample.background)
    return dataclasses.replace(sample, rgba=_shifted(sample.rgba, shift, axis, (0, 0, 0, 0)), raw=raw)


def several(sample: Sample, rng: np.random.Generator) -> Sample:
    """Two to four things share the frame: copies, or others."""
    count, side = int(rng.integers(2, 5)), sample.side
    own = premultiply(sample.rgba)
    corners = [(0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.0, 0.5)] if count > 2 or rng.random() < 0.3 else (
        [(0.25, 0.0), (0.25, 0.5)] if rng.random() < 0.7 else [(0.0, 0.25), (0.5, 0.25)])  # fmt: skip
    together = np.zeros((side, side, 4), np.float32)
    vocabulary = load_vocabulary()
    alike = rng.random() < 0.5
    for top, left in corners[:count]:
        thing = own if alike else _random_sprite(side, sample.style or vocabulary.default_style, rng)
        own_turn = not alike and (top, left) == corners[0]
        small = _half(own if own_turn else thing, rng)
        y = round((top + rng.uniform(-0.03, 0.03)) * side)
        x = round((left + rng.uniform(-0.03, 0.03)) * side)
        y, x = np.clip(y, 0, side - small.shape[0]), np.clip(x, 0, side - small.shape[1])
        part = together[y : y + small.shape[0], x : x + small.shape[1]]
        part[:] = small + part * (1 - small[..., 3:])
    return _repainted(sample, together)


def malformed(sample: Sample, rng: np.random.Generator) -> Sample:
    """Melted, doubled, torn to pieces, grown together with something else, or with parts missing.

    Not so a plain shape: bent, it is another one. What clip art shows may be anything: there, parts are neither missed
    nor found strange.
    """
    ways: tuple[Corruption, ...] = (_melted, _melted, _doubled, _torn)
    if sample.source != "clipart":
        ways = (*ways, _grown_together, _amputated)
    if sample.label and sample.label not in load_vocabulary().concepts:
        return sample
    return _visibly(lambda: ways[rng.integers(len(ways))](sample, rng), sample, 0.45)


def lettering(sample: Sample, rng: np.random.Generator) -> Sample:
    """Most letters become none: halves change places, strokes bend, letters lie upon each other."""
    assert sample.ink is not None
    assert sample.ink_color is not None
    garbled = _garbled(sample.ink, rng)
    below = premultiply(sample.rgba)
    # What lies under the letters is a plain ground, or nothing.
    ground = _beside(below, sample.ink > 0.02)
    written = np.concatenate([garbled[..., None] * sample.ink_color, garbled[..., None]], axis=-1)
    return _repainted(sample, written + ground * (1 - garbled[..., None]))


def leftover(sample: Sample, rng: np.random.Generator) -> Sample:
    """A haze everywhere, a broad rim, or ragged pieces of the background stay around the object."""
    alpha = sample.rgba[..., 3].astype(np.float32)
    way = rng.random()
    if way < 0.35:
        return with_alpha(sample, np.maximum(alpha, rng.uniform(0.14, 0.45) * 255))
    if way < 0.65:
        return with_alpha(sample, _grown(alpha, sample.side * rng.uniform(0.065, 0.14)))
    near = ndimage.distance_transform_edt(alpha < 128) < sample.side * rng.uniform(0.1, 0.25)
    field = _slow_field(alpha.shape, sample.side * rng.uniform(0.06, 0.15), rng)
    pieces = near & (field > np.quantile(field[near], rng.uniform(0.3, 0.6))) if near.any() else near
    strength = rng.uniform(0.6, 1.0) * 255
    return with_alpha(sample, np.maximum(alpha, ndimage.gaussian_filter(pieces * strength, sample.side * 0.006)))


def halo(sample: Sample, rng: np.random.Generator) -> Sample:
    """A rim of the background's colour, a fiftieth to a twentieth of the side wide."""
    alpha = sample.rgba[..., 3].astype(np.float32)
    rim = _grown(alpha, sample.side * rng.uniform(0.02, 0.05))
    return with_alpha(sample, np.maximum(alpha, rim * rng.uniform(0.7, 1.0)))


def holes(sample: Sample, rng: np.random.Generator) -> Sample:
    """Four to fourteen holes, round or ragged, in the object's inside."""
    return _visibly(lambda: _pierced(sample, rng), sample, 0.03)


def _pierced(sample: Sample, rng: np.random.Generator) -> Sample:
    alpha = sample.rgba[..., 3].astype(np.float32)
    depth = ndimage.distance_transform_edt(alpha > 200)
    inside = depth > min(sample.side / 40, 0.4 * float(depth.max()))
    if rng.random() < 0.65:
        torn = _discs(inside, int(rng.integers(4, 15)), sample.side * rng.uniform(0.018, 0.035), rng)
    else:
        field = _slow_field(alpha.shape, sample.side * rng.uniform(0.02, 0.04), rng)
        torn = inside & (field > np.quantile(field[inside], rng.uniform(0.7, 0.9))) if inside.any() else inside
    softened = ndimage.gaussian_filter(torn.astype(np.float32), sample.side * rng.uniform(0.001, 0.005))
    return with_alpha(sample, alpha * (1 - np.minimum(1.3 * softened, rng.uniform(0.85, 1.0))))


def specks(sample: Sample, rng: np.random.Generator) -> Sample:
    """Nine to thirty specks around the object, of the background's colour or of the object's."""
    return _visibly(lambda: _specked(sample, rng), sample, 0.01)


def _specked(sample: Sample, rng: np.random.Generator) -> Sample:
    alpha = sample.rgba[..., 3].astype(np.float32)
    outside = ndimage.distance_transform_edt(alpha == 0) > sample.side / 32
    dots = _discs(outside, int(rng.integers(9, 31)), sample.side * rng.uniform(0.009, 0.018), rng)
    spotted = with_alpha(sample, np.where(dots, rng.uniform(0.7, 1) * 255, alpha))
    shown = sample.rgba[sample.rgba[..., 3] > 200][:, :3]
    if rng.random() < 0.5 and len(shown):
        spotted.rgba[dots & (alpha == 0), :3] = shown[rng.integers(len(shown))]
    return spotted


def checkerboard(sample: Sample, rng: np.random.Generator) -> Sample:
    """Gray squares are painted where the background should be seen: all over, around the object, or on it."""
    height, width = sample.rgba.shape[:2]
    square = max(2.0, sample.side * rng.uniform(0.022, 0.075))
    y, x = np.mgrid[:height, :width].astype(np.float32) + rng.uniform(0, 2 * square, (2, 1, 1))
    dark = (y // square + x // square) % 2 == 1
    light_gray = rng.uniform(0.75, 1.0) if rng.random() < 0.8 else rng.uniform(0.3, 0.6)
    dark_gray = light_gray - rng.uniform(0.1, 0.35)
    squares = np.where(dark, np.float32(dark_gray), np.float32(light_gray))[..., None]
    own = premultiply(sample.rgba)
    where = np.ones((height, width), np.float32)
    if sample.source in WHOLES:
        where = _patch((height, width), rng)
        return _repainted(sample, np.concatenate([np.where(where[..., None] > 0.5, squares, own[..., :3]),
                                                  own[..., 3:]], axis=-1))  # fmt: skip
    way = rng.random()
    if way > 0.4:
        near = ndimage.distance_transform_edt(own[..., 3] < 0.5) < sample.side * rng.uniform(0.08, 0.25)
        where = near.astype(np.float32) if way < 0.75 else _patch((height, width), rng)
    board = np.concatenate([squares * where[..., None] * np.ones(3, np.float32), where[..., None]], axis=-1)
    return _repainted(sample, (own + board * (1 - own[..., 3:])).astype(np.float32))


def blur(sample: Sample, rng: np.random.Generator) -> Sample:
    """Out of focus, or smeared along a line."""
    extent = _extent(sample)
    if rng.random() < 0.7:
        sigma = extent * rng.uniform(0.022, 0.05)

        def soften(values: FloatArray) -> FloatArray:
            softened: FloatArray = ndimage.gaussian_filter(values, (sigma, sigma, 0), mode="nearest")
            return softened
    else:
        length, axis = max(3, round(extent * rng.uniform(0.1, 0.2))), int(rng.integers(2))

        def soften(values: FloatArray) -> FloatArray:
            softened: FloatArray = ndimage.uniform_filter1d(values, length, axis=axis, mode="nearest")
            return softened

    return _filtered(sample, soften)


def noise(sample: Sample, rng: np.random.Generator) -> Sample:
    """Grain, salt and pepper, or blotches of colour over the object."""
    return _visibly(lambda: _noised(sample, rng), sample, 0.15)


def _noised(sample: Sample, rng: np.random.Generator) -> Sample:
    own = premultiply(sample.rgba)
    height, width = own.shape[:2]
    grain = max(1.0, _extent(sample) / 120 * rng.uniform(0.8, 2.5))
    size = max(2, round(height / grain)), max(2, round(width / grain))
    # Blotches as large as letters are a colouring.
    way = rng.random() * (0.85 if sample.source == "text" else 1)
    if way < 0.6:
        field = rng.normal(0, rng.uniform(0.12, 0.3), (*size, 3 if rng.random() < 0.7 else 1)).astype(np.float32)
    elif way < 0.85:
        spots = rng.random((*size, 1)) < rng.uniform(0.05, 0.14)
        field = np.where(spots, rng.choice([-0.9, 0.9], (*size, 1)), 0).astype(np.float32)
    else:
        coarse = max(2, size[0] // 3), max(2, size[1] // 3)
        field = rng.normal(0, rng.uniform(0.22, 0.38), (*coarse, 3)).astype(np.float32)
    field = np.broadcast_to(field, (*field.shape[:2], 3))
    how = Image.Resampling.BILINEAR if way >= 0.85 else Image.Resampling.NEAREST
    planes = [np.asarray(Image.fromarray(field[..., c].copy()).resize((width, height), how)) for c in range(3)]
    alpha = own[..., 3:]
    straight = np.clip(own[..., :3] / np.maximum(alpha, 1e-3) + np.stack(planes, axis=-1), 0, 1)
    return _repainted(sample, np.concatenate([straight * alpha, alpha], axis=-1))


def seams(sample: Sample, rng: np.random.Generator) -> Sample:
    """A straight join across the picture, sometimes two: beyond it the picture is shifted along it, lit otherwise, or
    both. What is not of the vocabulary may have an edge of light by nature, as a box or a wall's corner has: there the
    picture is shifted in any case."""
    shown = np.argwhere(sample.rgba[..., 3] > 127)
    if not len(shown):
        return sample
    axis = int(rng.integers(2))
    low, high = shown[:, axis].min(), shown[:, axis].max()
    for _ in range(_TRIES):
        at, way = max(1, round(low + (high - low) * rng.uniform(0.25, 0.75))), rng.random()
        slid = _slid(sample, axis, at, rng) if way < 0.7 or not sample.label else sample
        changed = _relit(slid, axis, at, rng) if way > 0.35 else slid
        if _step(changed, axis, at) - _step(sample, axis, at) >= _CLEAR_STEP:
            return seams(changed, rng) if rng.random() < 0.2 else changed
    return sample


_TRIES: Final = 10
_CLEAR_STEP: Final = 0.15


def _step(sample: Sample, axis: int, at: int) -> float:
    """How far a step across a line stands out of those right beside it, as a part of the object's extent.

    Steps are differences of premultiplied values, of the channel that changes most, summed along the line.
    """
    own = premultiply(sample.rgba) if axis == 0 else premultiply(sample.rgba).swapaxes(0, 1)
    steps = np.abs(np.diff(own[max(0, at - 3) : at + 3], axis=0)).max(axis=-1)
    middle = at - 1 - max(0, at - 3)
    beside = np.maximum(steps[: max(1, middle)].max(axis=0), steps[middle + 1 :].max(axis=0, initial=0))
    return float(np.clip(steps[middle] - beside, 0, None).sum()) / _extent(sample)


CORRUPTIONS: Final[dict[str, Corruption]] = {
    each.__name__: each
    for each in (cut, several, malformed, lettering, leftover, halo, holes, specks, checkerboard, blur, noise, seams)
}
"""The kinds that the artifact classifier is trained on, by the name of the defect."""

ALPHA_CORRUPTIONS: Final[dict[str, Corruption]] = {"empty": emptied, "rectangle": rectangle}
"""Kinds that closed-form checks alone find."""

_DRAWN = tuple(kind for kind in CORRUPTIONS if kind != "lettering")
APPLICABLE: Final[dict[str, tuple[str, ...]]] = {
    "sprite": _DRAWN,
    "matted": _DRAWN,
    "drawn": _DRAWN,
    # Nobody knows what shape a made-up thing should have.
    "object": tuple(kind for kind in _DRAWN if kind != "malformed"),
    # Smoke is blurred, full of holes and in several pieces by nature.
    "wisp": ("cut", "checkerboard", "noise"),
    "text": ("lettering", "lettering", "lettering", "blur", "noise"),
    "whole": ("checkerboard", "blur", "noise", "seams"),
    "network": _DRAWN,
    "drawn_network": _DRAWN,
    "photo": _DRAWN,
    "figure": tuple(kind for kind in _DRAWN if kind != "malformed"),
    "cutout": tuple(kind for kind in _DRAWN if kind not in ("malformed", "several")),
    "landscape": ("checkerboard", "blur", "noise", "seams"),
    "clipart": tuple(kind for kind in _DRAWN if kind != "several"),
}
"""By source, the kinds that can be told from a sound sample of it; those named more often are drawn more often."""


WHOLES: Final = ("whole", "landscape")
"""The sources of opaque whole images."""


def with_alpha(sample: Sample, alpha: NDArray[np.floating]) -> Sample:
    """The sample with another alpha in 0…255; where that shows more, it shows what was drawn there."""
    assert sample.raw is not None
    rgba = np.dstack([sample.raw, np.rint(alpha).astype(np.uint8)])
    kept = sample.rgba[..., 3] >= rgba[..., 3]
    rgba[kept, :3] = sample.rgba[kept, :3]
    return dataclasses.replace(sample, rgba=clear_hidden(rgba))


def _repainted(sample: Sample, premultiplied: FloatArray) -> Sample:
    """Other content, premultiplied; the drawing changes as its content does and keeps its own noise."""
    if sample.raw is None:
        return dataclasses.replace(sample, rgba=unpremultiply(premultiplied))
    flat = np.array(sample.background, np.float32) / np.float32(255)
    before = premultiply(sample.rgba)
    residue = sample.raw.astype(np.float32) / np.float32(255) - (before[..., :3] + (1 - before[..., 3:]) * flat)
    # Where the object was, the residue is its matte's error and goes with it.
    residue *= before[..., 3:] < 0.02
    raw = premultiplied[..., :3] + (1 - premultiplied[..., 3:]) * flat + residue
    return dataclasses.replace(sample, rgba=unpremultiply(premultiplied), raw=round_to_uint8(raw))


def _filtered(sample: Sample, change: Callable[[FloatArray], FloatArray]) -> Sample:
    """The same change of content and drawing; it must be linear, so that one stays over the other's background."""
    rgba = unpremultiply(change(premultiply(sample.rgba)))
    raw = None if sample.raw is None else round_to_uint8(change(sample.raw.astype(np.float32) / np.float32(255)))
    return dataclasses.replace(sample, rgba=rgba, raw=raw)


def _visibly(change: Callable[[], Sample], sample: Sample, least: float) -> Sample:
    """The first of some tries that changes the picture as much as `least`, else the sample itself.

    The change is the mean difference of premultiplied values, all channels added, over the visible pixels.
    """
    own = premultiply(sample.rgba)
    visible = max(float(own[..., 3].sum()), 1.0)
    for _ in range(_TRIES):
        changed = change()
        if float(np.abs(premultiply(changed.rgba) - own).sum()) / visible >= least:
            return changed
    return sample


def _slid(sample: Sample, axis: int, at: int, rng: np.random.Generator) -> Sample:
    """What lies beyond `at` is moved along the join."""
    by = round(_extent(sample) * rng.uniform(0.08, 0.18)) * int(rng.choice([-1, 1]))

    def slide(values: FloatArray) -> FloatArray:
        moved = values.copy()
        half = (slice(at, None), slice(None)) if axis == 0 else (slice(None), slice(at, None))
        moved[half] = np.roll(values[half], by, axis=1 - axis)
        return moved

    return _filtered(sample, slide)


def _relit(sample: Sample, axis: int, at: int, rng: np.random.Generator) -> Sample:
    """What lies beyond `at` is darker or, where there is room for it, lighter."""
    own = premultiply(sample.rgba)
    half = (slice(at, None), slice(None)) if axis == 0 else (slice(None), slice(at, None))
    rgb, alpha = own[half][..., :3], own[half][..., 3:]
    bright = float(rgb.sum()) / max(3 * float(alpha.sum()), 1e-6)
    if bright > 0.45 or rng.random() < 0.3:
        lit = rgb * np.float32(rng.uniform(0.45, 0.7))
    else:
        part = np.float32(rng.uniform(0.25, 0.5))
        lit = rgb + part * (alpha - rgb)
    own[half] = np.concatenate([lit, alpha], axis=-1)
    return _repainted(sample, own)


def _melted(sample: Sample, rng: np.random.Generator) -> Sample:
    extent = _extent(sample)
    shape = sample.rgba.shape[:2]
    wave, reach = extent * rng.uniform(0.05, 0.11), extent * rng.uniform(0.07, 0.13)
    shifts = np.stack([_slow_field(shape, wave, rng) for _ in range(2)])
    places = np.mgrid[: shape[0], : shape[1]] + reach * shifts

    def move(values: FloatArray) -> FloatArray:
        channels = [
            ndimage.map_coordinates(values[..., c], places, order=1, mode="nearest") for c in range(values.shape[-1])
        ]
        return np.stack(channels, axis=-1).astype(np.float32)

    return _filtered(sample, move)


def _doubled(sample: Sample, rng: np.random.Generator) -> Sample:
    """A second, see-through object beside itself."""
    own, turn = premultiply(sample.rgba), rng.uniform(0, 2 * np.pi)
    reach = _extent(sample) * rng.uniform(0.1, 0.22)
    shift = round(reach * np.sin(turn)), round(reach * np.cos(turn))
    ghost = np.roll(own, shift, (0, 1)) * np.float32(rng.uniform(0.4, 0.65))
    return _repainted(sample, ghost + own * (1 - ghost[..., 3:]))


def _torn(sample: Sample, rng: np.random.Generator) -> Sample:
    """Strips that slid against each other."""
    axis, strips = int(rng.integers(2)), int(rng.integers(4, 9))
    reach = _extent(sample) * 0.16
    length = sample.rgba.shape[axis]
    bounds = np.sort(rng.integers(length // 8, length * 7 // 8, strips))
    slides = np.repeat(
        rng.uniform(-reach, reach, strips + 1).round().astype(int), np.diff([0, *bounds.tolist(), length])
    )

    def slide(values: FloatArray) -> FloatArray:
        rows = values if axis == 0 else values.swapaxes(0, 1)
        moved = np.stack([np.roll(row, by, axis=0) for row, by in zip(rows, slides, strict=True)])
        return moved if axis == 0 else moved.swapaxes(0, 1)

    return _filtered(sample, slide)


def _grown_together(sample: Sample, rng: np.random.Generator) -> Sample:
    """One half is another thing's."""
    own = premultiply(sample.rgba)
    height, width = own.shape[:2]
    style = sample.style or load_vocabulary().default_style
    other = _random_sprite(max(height, width), style, rng)[:height, :width]
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width]
    ramp = (y - height / 2) * np.sin(turn) + (x - width / 2) * np.cos(turn)
    part = (1 / (1 + np.exp(-ramp / (sample.side * rng.uniform(0.01, 0.05))))).astype(np.float32)[..., None]
    return _repainted(sample, own * part + other * (1 - part))


def _amputated(sample: Sample, rng: np.random.Generator) -> Sample:
    """A fifth to two fifths are gone, with a ragged edge."""
    own = premultiply(sample.rgba)
    shown = own[..., 3] > 0.5
    if not shown.any():
        return sample
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: own.shape[0], : own.shape[1]]
    field = y * np.sin(turn) + x * np.cos(turn) + 0.1 * sample.side * _slow_field(shown.shape, sample.side * 0.03, rng)
    gone = field < np.quantile(field[shown], rng.uniform(0.2, 0.4))
    kept = 1 - ndimage.gaussian_filter(gone.astype(np.float32), sample.side * 0.006)
    return _repainted(sample, own * kept[..., None])


def _garbled(ink: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The coverage of letters that are none, each about where one was."""
    regions, _ = ndimage.label(ink > 0.25, np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(regions) if box is not None]
    tallest = max((box[0].stop - box[0].start for box in boxes), default=0)
    letters = [box for box in boxes if box[0].stop - box[0].start > 0.4 * tallest]
    written = ink.copy()
    for box in letters:
        if len(letters) > 4 and rng.random() < 0.15:
            continue
        glyph = ink[box]
        for _ in range(5):
            other = _fitted(ink[letters[rng.integers(len(letters))]], (glyph.shape[0], glyph.shape[1]))
            written[box] = _no_letter(glyph, other, rng)
            # Half an O upside down is still an O.
            if np.abs(written[box] - glyph).sum() > 0.5 * glyph.sum():
                break
    return np.clip(written, 0, 1).astype(np.float32)


def _no_letter(glyph: FloatArray, other: FloatArray, rng: np.random.Generator) -> FloatArray:
    """What is left of a letter: half of it replaced, another one laid over it, or its strokes bent."""
    way = rng.integers(4)
    if way == 0:
        middle = glyph.shape[0] // 2
        return np.concatenate([np.flipud(other)[:middle], glyph[middle:]])
    if way == 1:
        doubled: FloatArray = np.maximum(glyph, np.roll(np.fliplr(other), glyph.shape[0] // 5, axis=0))
        return doubled
    if way == 2:
        return _bent(glyph, rng)
    middle = glyph.shape[1] // 2
    return _bent(np.concatenate([other[:, middle:], glyph[:, :middle]], axis=1), rng)


def _bent(glyph: FloatArray, rng: np.random.Generator) -> FloatArray:
    height, width = glyph.shape
    shifts = np.stack([_slow_field((height, width), height * 0.16, rng) for _ in range(2)])
    places = np.mgrid[:height, :width] + height * rng.uniform(0.13, 0.2) * shifts
    bent: FloatArray = ndimage.map_coordinates(glyph, places, order=1, mode="constant")
    return bent


def _fitted(glyph: FloatArray, shape: tuple[int, int]) -> FloatArray:
    resized = Image.fromarray(np.ascontiguousarray(glyph)).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _beside(premultiplied: FloatArray, covered: Mask) -> FloatArray:
    """Each covered pixel replaced by the nearest one that is not."""
    if covered.all() or not covered.any():
        return premultiplied
    nearest = ndimage.distance_transform_edt(covered, return_distances=False, return_indices=True)
    beside: FloatArray = premultiplied[nearest[0], nearest[1]]
    return beside


def _random_sprite(side: int, style: str, rng: np.random.Generator) -> FloatArray:
    vocabulary = load_vocabulary()
    label = vocabulary.labels[rng.integers(len(vocabulary.concepts))]
    drawn = place(label, style, float(rng.uniform(0.6, 0.85)), (0.0, 0.0), side)
    return premultiply(np.asarray(drawn))


def _half(premultiplied: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The trimmed thing at about half the frame's side."""
    shown = np.argwhere(premultiplied[..., 3] > 0.05)
    side = max(premultiplied.shape[:2])
    if len(shown):
        (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0) + 1
        premultiplied = premultiplied[top:bottom, left:right]
    scale = side * rng.uniform(0.36, 0.5) / max(premultiplied.shape[:2])
    size = max(2, round(premultiplied.shape[1] * scale)), max(2, round(premultiplied.shape[0] * scale))
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(premultiplied[..., c])).resize(size, Image.Resampling.BILINEAR))
        for c in range(4)
    ]
    return np.stack(planes, axis=-1)


def _extent(sample: Sample) -> float:
    """The longer side of what is visible, in pixels."""
    shown = np.argwhere(sample.rgba[..., 3] > 12)
    return float((shown.max(axis=0) - shown.min(axis=0)).max() + 1) if len(shown) else float(sample.side)


def _patch(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """A rectangle or a blob over a fifth or more of the picture, 0 or 1."""
    if rng.random() < 0.5:
        field = _slow_field(shape, max(shape) * 0.12, rng)
        return (field > np.quantile(field, rng.uniform(0.4, 0.75))).astype(np.float32)
    patch = np.zeros(shape, np.float32)
    size = (np.array(shape) * rng.uniform(0.45, 0.95, 2)).astype(int)
    top, left = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(shape, size, strict=True))
    patch[top : top + size[0], left : left + size[1]] = 1
    return patch


def _slow_field(shape: tuple[int, ...], wave: float, rng: np.random.Generator) -> FloatArray:
    """Gaussian noise of deviation 1 whose grains are about `wave` pixels wide."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), max(wave, 0.3))
    slow: FloatArray = (field / max(float(field.std()), 1e-9)).astype(np.float32)
    return slow


def _grown(alpha: FloatArray, by: float) -> FloatArray:
    """Alpha spread outwards by so many pixels."""
    distance = ndimage.distance_transform_edt(alpha < 128)
    spread: FloatArray = np.maximum(alpha, 255 * np.clip(by + 0.5 - distance, 0, 1))
    return spread


def _discs(where: Mask, count: int, radius: float, rng: np.random.Generator) -> Mask:
    """Discs of a radius with their middles at random pixels of `where`."""
    places = np.flatnonzero(where)
    middles = np.ones(where.shape, bool)
    if places.size:
        middles.flat[rng.choice(places, min(count, places.size), replace=False)] = False
    near: Mask = ndimage.distance_transform_edt(middles) <= radius
    return near & ~middles.all()


def _shifted(pixels: UInt8Array, by: int, axis: int, fill: tuple[int, ...]) -> UInt8Array:
    """Pixels moved along an axis; what comes in is `fill`."""
    moved = np.empty_like(pixels)
    moved[...] = fill
    source = [slice(None), slice(None)]
    target = [slice(None), slice(None)]
    source[axis] = slice(max(0, -by), pixels.shape[axis] - max(0, by))
    target[axis] = slice(max(0, by), pixels.shape[axis] - max(0, -by))
    moved[tuple(target)] = pixels[tuple(source)]
    return moved
