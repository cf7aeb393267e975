"""Straight alpha at rest, premultiplied alpha at work, and the way between them.

Mixing or resizing straight RGBA drags the colour of invisible pixels into visible ones; premultiplied colour cannot do
that (Porter & Duff 1984). Everything is rounded, because truncation darkens an image by half a step each time.
"""

import numpy as np
from PIL import Image

from layered.arrays import FloatArray, Size, UInt8Array


def round_to_uint8(values: FloatArray) -> UInt8Array:
    """0…1 to 0…255, clipped and rounded."""
    rounded: UInt8Array = np.rint(np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)
    return rounded


def premultiply(rgba: UInt8Array) -> FloatArray:
    """Straight 8-bit RGBA ``[h, w, 4]`` to premultiplied float RGBA in 0…1."""
    premultiplied = rgba.astype(np.float32) / np.float32(255)
    premultiplied[..., :3] *= premultiplied[..., 3:]
    return premultiplied


def unpremultiply(premultiplied: FloatArray) -> UInt8Array:
    """Premultiplied float RGBA in 0…1 to straight 8-bit RGBA; RGB is 0 where the stored alpha is 0."""
    alpha = premultiplied[..., 3:]
    straight = premultiplied[..., :3] / np.maximum(alpha, np.float32(1e-6))
    return clear_hidden(round_to_uint8(np.concatenate([straight, alpha], axis=-1)))


def clear_hidden(rgba: UInt8Array) -> UInt8Array:
    """A copy with RGB 0 wherever alpha is 0: smaller files, and equal pictures have equal bytes."""
    cleared = rgba.copy()
    cleared[rgba[..., 3] == 0] = 0
    return cleared


def resize(rgba: UInt8Array, size: Size) -> UInt8Array:
    """Straight RGBA ``[h, w, 4]`` resampled to ``(width, height)`` by Lanczos, mixed premultiplied."""
    if (rgba.shape[1], rgba.shape[0]) == tuple(size):
        return clear_hidden(rgba)
    resized = _resample(premultiply(rgba), size)
    # Lanczos overshoots: premultiplied colour must stay between 0 and alpha.
    resized[..., 3] = np.clip(resized[..., 3], 0, 1)
    resized[..., :3] = np.clip(resized[..., :3], 0, resized[..., 3:])
    return unpremultiply(resized)


def resize_rgb(rgb: UInt8Array, size: Size) -> UInt8Array:
    """Opaque RGB ``[h, w, 3]`` resampled to ``(width, height)`` by Lanczos."""
    if (rgb.shape[1], rgb.shape[0]) == tuple(size):
        return rgb.copy()
    return round_to_uint8(_resample(rgb.astype(np.float32) / np.float32(255), size))


def _resample(channels: FloatArray, size: Size) -> FloatArray:
    """Lanczos on each float channel of ``[h, w, c]``; Pillow resamples float images one channel at a time."""
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(channels[..., c])).resize(size, Image.Resampling.LANCZOS))
        for c in range(channels.shape[-1])
    ]
    return np.stack(planes, axis=-1)
