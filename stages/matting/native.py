"""For generators that draw RGBA: their own alpha, unchanged."""

from __future__ import annotations

from typing import Final

from layered.arrays import Color, UInt8Array
from layered.pixels import clear_hidden
from stages.matting.matter import Matter, check_mode

NO_BACKGROUND: Final[Color] = (128, 128, 128)
"""Stands for the background that was never there: mid-gray, as everywhere that transparency must be a colour."""


class Native(Matter):
    """Passes straight RGBA through; pictures are never enlarged."""

    def matte(self, rgb: UInt8Array, background: Color | None = None) -> tuple[UInt8Array, Color]:
        check_mode(rgb, 4, "RGBA (matting.backend native is for generators that draw transparency)")
        return clear_hidden(rgb), background or NO_BACKGROUND
