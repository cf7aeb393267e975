"""Layers over a base image: the *over* operator of Porter & Duff (1984), in float, rounded once."""

from collections.abc import Iterable

import numpy as np

from layered.arrays import Color, UInt8Array
from layered.box import Box
from layered.pixels import premultiply, round_to_uint8


def composite(base: UInt8Array, placed: Iterable[tuple[UInt8Array, Box]]) -> UInt8Array:
    """The whole image: straight RGBA layers over an opaque base, bottom to top.

    Args:
        base: RGB ``[height, width, 3]``.
        placed: each layer's RGBA ``[box.height, box.width, 4]`` with its box; what lies outside the base is cut off.

    Returns:
        RGB ``[height, width, 3]``.

    Raises:
        ValueError: when a layer's pixels do not have its box's size.
    """
    canvas = Box.canvas((base.shape[1], base.shape[0]))
    mixed = base.astype(np.float32) / np.float32(255)
    for rgba, box in placed:
        if rgba.shape[:2] != (box.height, box.width):
            raise ValueError(f"layer of {rgba.shape[1]}×{rgba.shape[0]} pixels does not fill its box {box.as_list()}")
        visible = box.intersection(canvas)
        if visible is None:
            continue
        above = premultiply(rgba[visible.shifted(-box.x0, -box.y0).pixels()])
        below = mixed[visible.pixels()]
        below *= 1 - above[..., 3:]
        below += above[..., :3]
    return round_to_uint8(mixed)


def over_color(rgba: UInt8Array, color: Color) -> UInt8Array:
    """A straight RGBA image ``[h, w, 4]`` over one flat colour, as RGB ``[h, w, 3]``."""
    height, width = rgba.shape[:2]
    base = np.broadcast_to(np.array(color, dtype=np.uint8), (height, width, 3))
    return composite(base, [(rgba, Box(0, 0, width, height))])
