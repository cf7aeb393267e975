"""Files made elsewhere know blend modes, opacity and groups; a layered image knows plain layers over an opaque base.

Baking makes plain layers that look the same. A layer that multiplies, say, gets the colour that it has over what lies
below it: with backdrop colour B, its own colour S and its coverage a, the result (1 − a)·B + a·blend(B, S) is that of a
plain layer of colour blend(B, S) (W3C, Compositing and Blending Level 1, section 5, over an opaque backdrop).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from layered.arrays import FloatArray, Size, UInt8Array
from layered.box import Box
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.pixels import clear_hidden, round_to_uint8

Blend = Callable[[FloatArray, FloatArray], FloatArray]
"""Takes backdrop and own colour, both ``[h, w, 3]`` in 0…1 and not premultiplied; returns the mixed colour."""

LARGEST_SIDE: Final = 16_384
"""Pixels on a side of a canvas that is read."""

MOST_PIXELS: Final = 2**28
"""Of all layers of one file together; more is taken for an attack on the memory."""

MOST_DIFFERENCE: Final = 2
"""What the layers may differ from the file's own preview, in 1/255."""

WHITE: Final = 255


@dataclass(frozen=True, eq=False)
class Piece:
    """A visible layer of a file.

    Attributes:
        pixels: straight RGBA ``[h, w, 4]``, opacity and masks applied.
        blend: None for a plain layer.
        text: of a text layer.
        note: what was done to it; empty when the pixels are those of the file.
    """

    name: str
    pixels: UInt8Array
    box: Box
    blend: Blend | None = None
    text: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Baked:
    """Plain layers, the pieces that they were made of, and the name of the base image (empty: there was none)."""

    image: LayeredImage
    pieces: tuple[Piece, ...]
    base_name: str

    def notes(self) -> dict[str, str]:
        """Provenance: what was baked, and where the base image comes from."""
        baked = "; ".join(f"{piece.name}: {piece.note}" for piece in self.pieces if piece.note)
        return {"baked": baked, "base_source": "lowest layer" if self.base_name else "white"}


def bake(canvas: Size, pieces: Sequence[Piece]) -> Baked:
    """A layered image that looks like the pieces, lowest first, one over the other.

    The lowest becomes the base image when it covers the canvas and is opaque; otherwise the base is white paper.
    """
    base, name, above = _base_of(canvas, pieces)
    mixed = _start(base, opaque=bool(name)) if any(piece.blend for piece in above) else None
    layers = []
    for piece in above:
        pixels = piece.pixels
        seen = piece.box.intersection(Box.canvas(canvas)) if mixed is not None else None
        if mixed is not None and seen is not None:
            inside = seen.shifted(-piece.box.x0, -piece.box.y0).pixels()
            color = _paint(mixed[seen.pixels()], pixels[inside], piece.blend)
            if piece.blend is not None:
                pixels = pixels.copy()
                pixels[inside][..., :3] = round_to_uint8(color)
        layers.append(Layer(clear_hidden(pixels), piece.box))
    return Baked(LayeredImage(base, tuple(layers)), tuple(above), name)


def merged(name: str, pieces: Sequence[Piece], opacity: float, blend: Blend | None, note: str) -> Piece | None:
    """A group as one piece: its members composited by themselves. None when it is empty."""
    if not pieces:
        return None
    box = pieces[0].box
    for piece in pieces[1:]:
        box = box.union(piece.box)
    mixed = np.zeros((box.height, box.width, 4), np.float32)
    for piece in pieces:
        _paint(mixed[piece.box.shifted(-box.x0, -box.y0).pixels()], piece.pixels, piece.blend)
    straight = mixed[..., :3] / np.maximum(mixed[..., 3:], np.float32(1e-6))
    pixels = round_to_uint8(np.concatenate([straight, mixed[..., 3:] * np.float32(opacity)], axis=-1))
    return Piece(name, pixels, box, blend, note=note)


def require_possible(path: Path, canvas: Size, boxes: Sequence[Size]) -> None:
    """Raises UserError for a canvas or layers that are too large to be meant; nothing was decoded until then."""
    if not all(1 <= side <= LARGEST_SIDE for side in canvas):
        raise UserError(f"{path} has a canvas of {canvas[0]}×{canvas[1]} pixels; 1…{LARGEST_SIDE} are possible")
    total = canvas[0] * canvas[1] + sum(max(0, width) * max(0, height) for width, height in boxes)
    if total > MOST_PIXELS:
        raise UserError(f"{path} has layers of {total} pixels together; {MOST_PIXELS} are possible")


def require_like(path: Path, baked: Baked, previews: Sequence[UInt8Array]) -> None:
    """Raises UserError, naming what was baked, unless the layers look like one of the previews (RGB on white)."""
    whole = baked.image.whole().astype(np.int16)
    difference = min(int(np.abs(whole - preview).max(initial=0)) for preview in previews)
    if difference > MOST_DIFFERENCE:
        suspects = [f"{piece.name!r} ({piece.note})" for piece in baked.pieces if piece.note]
        reason = f"perhaps for {', '.join(suspects)}" if suspects else "for something that cannot be read"
        raise UserError(
            f"{path} looks different from its own preview by {difference}/255, {reason}: "
            "merge or rasterise such layers, and save again"
        )


def _paint(below: FloatArray, pixels: UInt8Array, blend: Blend | None) -> FloatArray:
    """Puts a layer over premultiplied RGBA, which is changed; returns the colour that a plain layer would need there.

    Where the backdrop covers a pixel by b, that is (1 − b)·S + b·blend(B, S) (same source, section 5.1).
    """
    own = pixels.astype(np.float32) / np.float32(255)
    color, alpha = own[..., :3], own[..., 3:]
    if blend is not None:
        covered = below[..., 3:]
        backdrop = below[..., :3] / np.maximum(covered, np.float32(1e-6))
        color = ((1 - covered) * color + covered * blend(backdrop.astype(np.float32), color)).astype(np.float32)
    below *= 1 - alpha
    below[..., :3] += color * alpha
    below[..., 3:] += alpha
    return color


def _start(base: UInt8Array, opaque: bool) -> FloatArray:
    """What the lowest layer is painted on, premultiplied RGBA: white paper is nothing that a layer could mix with."""
    mixed = np.zeros((*base.shape[:2], 4), np.float32)
    if opaque:
        mixed[..., :3] = base.astype(np.float32) / np.float32(255)
        mixed[..., 3] = 1
    return mixed


def _base_of(canvas: Size, pieces: Sequence[Piece]) -> tuple[UInt8Array, str, Sequence[Piece]]:
    """The base image, its name, and the pieces above it."""
    if pieces and pieces[0].blend is None and pieces[0].box.contains(Box.canvas(canvas)):
        lowest = pieces[0]
        pixels = lowest.pixels[Box.canvas(canvas).shifted(-lowest.box.x0, -lowest.box.y0).pixels()]
        if pixels[..., 3].min() == 255:
            return np.ascontiguousarray(pixels[..., :3]), lowest.name, pieces[1:]
    return np.full((canvas[1], canvas[0], 3), WHITE, np.uint8), "", pieces
