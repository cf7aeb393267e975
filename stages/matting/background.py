"""The flat background of a drawing: its colour and its noise, read from the picture's border."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from layered.arrays import Color, UInt8Array

SURE: Final = 26.0
"""Differences of more than this many levels are no noise of the background."""


def estimate_background(rgb: UInt8Array) -> Color:
    """The flat background's colour: the commonest one on the picture's border, where the object may touch it.

    The mode is taken over colours rounded to steps of 16, then the median of the border pixels within 16 of it.
    """
    border = _border(rgb)
    steps = border.astype(np.int64) // 16
    codes = steps @ np.array([256, 16, 1])
    commonest = np.median(border[codes == np.bincount(codes).argmax()], axis=0)
    near = np.abs(border - commonest).max(axis=1) <= 16
    red, green, blue = np.rint(np.median(border[near], axis=0)).astype(int).tolist()
    return red, green, blue


def background_noise(rgb: UInt8Array, background: Color) -> float:
    """What 95 % of the background's border pixels stay below, times 1.5; in 4…16 of 255."""
    distance = np.abs(_border(rgb) - np.array(background, np.int64)).max(axis=1)
    flat = distance[distance < SURE]
    return float(np.clip(1.5 * np.quantile(flat, 0.95), 4, 16)) if flat.size else 4.0


def _border(rgb: UInt8Array) -> NDArray[np.int64]:
    """The outermost pixels, ``[n, 3]``: a ring as wide as 1/32 of the shorter side."""
    width = max(1, min(rgb.shape[:2]) // 32)
    inner = np.zeros(rgb.shape[:2], bool)
    inner[width:-width, width:-width] = True
    return rgb[~inner].astype(np.int64)
