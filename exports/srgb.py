"""sRGB, said in the words of each file format: an ICC profile, or PNG's own chunk."""

from __future__ import annotations

import functools
import io
import struct
from typing import Final

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from layered.arrays import UInt8Array

_CREATION_DATE: Final = slice(24, 36)
"""Bytes of an ICC profile's header (ICC.1:2010, table 17) that hold the time at which it was made."""

_PERCEPTUAL: Final = b"\0"
"""The rendering intent in an ``sRGB`` chunk (PNG specification, 11.3.2.5)."""


@functools.cache
def srgb_profile() -> bytes:
    """An ICC profile of sRGB; the same bytes at any time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_CREATION_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def encode_srgb_png(pixels: UInt8Array) -> bytes:
    """RGB or straight RGBA as PNG that says it is sRGB; equal pixels, equal bytes."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sRGB", _PERCEPTUAL)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=1, pnginfo=chunks)
    return buffer.getvalue()
