"""What the alpha of layers is like: how much of the box is filled, how much of that is neither clear nor opaque."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from filters.alpha import alpha_rectangle, view_of
from layered.arrays import UInt8Array

_CLEAR, _OPAQUE = 12, 243  # alpha, of 255: what counts as nothing and as all
_RECTANGLE: Final = 0.2  # the filters' default threshold of `alpha_rectangle`


@dataclass(frozen=True)
class AlphaStatistics:
    """Of one layer, all in 0…1.

    Attributes:
        coverage: mean alpha of the box.
        partial: of the visible pixels those that are not opaque: edges, and what is semi-transparent.
        rectangle: 1 for an opaque rectangle that is not a plain one of one colour.
    """

    coverage: float
    partial: float
    rectangle: float


def alpha_statistics(rgba: UInt8Array) -> AlphaStatistics:
    """The statistics of straight RGBA pixels ``[h, w, 4]``; all are 0 for an invisible layer."""
    alpha = rgba[..., 3]
    visible = int((alpha > _CLEAR).sum())
    view = view_of(rgba)
    return AlphaStatistics(
        float(alpha.mean() / 255),
        float(((alpha > _CLEAR) & (alpha < _OPAQUE)).sum() / visible) if visible else 0.0,
        float(view is not None and alpha_rectangle(view) < _RECTANGLE),
    )
