"""What every way to find alpha has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from layered.arrays import Color, FloatArray, UInt8Array
from layered.pixels import clear_hidden, resize_rgb, round_to_uint8


class Matter(ABC):
    """A way to find alpha."""

    def setup(self) -> None:  # noqa: B027
        """Loads models; called once per worker process. Raises UserError when that is not possible."""

    @abstractmethod
    def matte(self, rgb: UInt8Array, background: Color | None = None) -> tuple[UInt8Array, Color]:
        """Frees a picture from its background.

        Args:
            rgb: ``[h, w, 3]`` on a flat background; only `native` takes ``[h, w, 4]``.
            background: its colour; None has it estimated.

        Returns:
            Straight RGBA ``[h', w', 4]``, colours freed from the background's, not smaller than the picture; and the
            background's colour.

        Raises:
            ValueError: when the picture has other channels, or no pixels.
        """


def check_rgb(picture: UInt8Array) -> None:
    """Raises ValueError for anything but 8-bit RGB ``[h, w, 3]`` with pixels in it."""
    check_mode(picture, 3, "RGB")


def check_mode(picture: UInt8Array, channels: int, name: str) -> None:
    """Raises ValueError for anything but an 8-bit picture of so many channels."""
    if picture.ndim != 3 or picture.shape[2] != channels or picture.dtype != np.uint8 or 0 in picture.shape:
        raise ValueError(f"wanted an 8-bit {name} picture, got {picture.dtype} {'×'.join(map(str, picture.shape))}")


def enlarged(rgb: UInt8Array, min_side: int) -> UInt8Array:
    """The picture with its shorter side at least `min_side`."""
    height, width = rgb.shape[:2]
    scale = max(1.0, min_side / min(height, width))
    return resize_rgb(rgb, (round(width * scale), round(height * scale)))


def with_alpha(rgb: UInt8Array, alpha: FloatArray, background: Color) -> UInt8Array:
    """Straight RGBA of a picture whose alpha is known: ``F = (I − (1 − α) B) / α``, kept in range.

    Args:
        rgb: ``[h, w, 3]`` on a flat background.
        alpha: ``[h, w]`` in 0…1.
    """
    flat = np.array(background, np.float32) / np.float32(255)
    difference = rgb.astype(np.float32) / np.float32(255) - flat
    colors = flat + difference / np.maximum(alpha[..., None], np.float32(1e-3))
    return clear_hidden(round_to_uint8(np.dstack([colors, alpha])))
