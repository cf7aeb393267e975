"""Triangulation: exact alpha from two renders of one layer on two colours (Smith & Blinn 1996, theorem 4).

Over B₁ and B₂ a layer shows ``I₁ = αF + (1 − α) B₁`` and ``I₂ = αF + (1 − α) B₂``: what the two pictures differ by is
``(1 − α)(B₁ − B₂)``. Whatever they differ by beyond that, the two do not show the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from layered.arrays import Color, FloatArray, UInt8Array
from layered.errors import UserError
from layered.pixels import clear_hidden, round_to_uint8
from stages.matting.background import estimate_background
from stages.matting.matter import check_rgb

_DISTINCT: Final = 48.0
"""The two backgrounds must differ by this much (of 255) in one channel at least."""

_TOLERATED: Final = 20.0
"""Levels that noise and rounding may put between what is seen and what two renders of one layer can show."""

_MISFIT: Final = 0.02
"""The share of the layer's pixels that may be further off than that."""

_REACH: Final = 4
"""Pixels within which the shift between two renders is looked for, to name it."""


@dataclass(frozen=True)
class Misfit:
    """How far two pictures are from being renders of one layer.

    Attributes:
        share: of the pixels that show something, those that no layer explains, 0…1.
        shift: ``(dx, dy)`` by which the second picture had best be moved, within 4 pixels.
    """

    share: float
    shift: tuple[int, int]


def triangulate(
    first: UInt8Array,
    second: UInt8Array,
    first_background: Color | None = None,
    second_background: Color | None = None,
) -> UInt8Array:
    """The layer that both pictures show, straight RGBA ``[h, w, 4]``.

    Args:
        first, second: RGB ``[h, w, 3]`` of one size; backgrounds that are None are estimated.

    Raises:
        UserError: when sizes differ, the backgrounds are too alike, or the pictures do not show the same layer.
    """
    check_rgb(first)
    check_rgb(second)
    if first.shape != second.shape:
        raise UserError(
            f"the two pictures are {first.shape[1]}×{first.shape[0]} and {second.shape[1]}×{second.shape[0]} pixels: "
            f"render the layer twice at one size"
        )
    backgrounds = (
        np.array(first_background or estimate_background(first), np.float32),
        np.array(second_background or estimate_background(second), np.float32),
    )
    apart = backgrounds[0] - backgrounds[1]
    if np.abs(apart).max() < _DISTINCT:
        raise UserError(
            f"the two backgrounds {_words(backgrounds[0])} and {_words(backgrounds[1])} are too alike: render on two "
            f"colours that differ clearly, best black and white"
        )
    one, other = first.astype(np.float32), second.astype(np.float32)
    part = _transparency(one - other, apart)
    share = _unexplained(one - other, part, apart)
    if share > _MISFIT:
        misfit = Misfit(share, _best_shift(one, other, apart))
        raise UserError(_complaint(misfit))
    alpha = np.clip(1 - part, 0, 1)[..., None]
    # Noise halves when both pictures say what the layer's premultiplied colour is.
    seen = (one - (1 - alpha) * backgrounds[0] + other - (1 - alpha) * backgrounds[1]) / 2
    colors = seen / np.maximum(alpha, np.float32(1e-3))
    return clear_hidden(round_to_uint8(np.concatenate([colors / np.float32(255), alpha], axis=-1)))


def _transparency(difference: FloatArray, apart: FloatArray) -> FloatArray:
    """``1 − α`` by least squares over the channels, ``[h, w]``; outside 0…1 where no layer explains the difference."""
    part: FloatArray = (difference @ apart) / np.float32(apart @ apart)
    return part


def _unexplained(difference: FloatArray, part: FloatArray, apart: FloatArray) -> float:
    """The share of visible pixels whose difference is not ``(1 − α)(B₁ − B₂)`` for any alpha in 0…1."""
    explained = np.clip(part, 0, 1)[..., None] * apart
    off: NDArray[np.bool_] = np.abs(difference - explained).max(axis=-1) > _TOLERATED
    visible = (part < 0.98) | off
    return float(off.sum() / max(1, visible.sum()))


def _best_shift(one: FloatArray, other: FloatArray, apart: FloatArray) -> tuple[int, int]:
    inner = slice(_REACH, -_REACH)

    def misfit(shift: tuple[int, int]) -> float:
        difference = (one - np.roll(other, (shift[1], shift[0]), (0, 1)))[inner, inner]
        return _unexplained(difference, _transparency(difference, apart), apart)

    span = range(-_REACH, _REACH + 1)
    shifts = [(dx, dy) for dx in span for dy in span]
    return min(shifts, key=lambda shift: (misfit(shift), abs(shift[0]) + abs(shift[1])))


def _complaint(misfit: Misfit) -> str:
    said = f"the two pictures do not show the same layer: {misfit.share:.0%} of its pixels fit no alpha"
    if misfit.shift == (0, 0):
        return f"{said}; render both from one seed, and name the backgrounds if they were guessed wrongly"
    dx, dy = misfit.shift
    return f"{said}; they fit best with the second moved by {dx} pixels to the right and {dy} down"


def _words(color: FloatArray) -> str:
    return "#" + "".join(f"{round(float(channel)):02x}" for channel in color)
