"""Designs of plain rectangles, whose composition can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from filters.filter import FilterInput
from layered.arrays import Color, UInt8Array
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.sidecar import LayerRecord, Sidecar

CANVAS = (200, 160)


@dataclass(frozen=True, eq=False)
class Plain:
    """A layer that fills its box with one colour, or with the pixels given."""

    box: tuple[int, int, int, int]
    color: Color = (200, 40, 40)
    alpha: int = 255
    kind: str = "image"
    layout_box: tuple[int, int, int, int] | None = None
    pixels: UInt8Array | None = None

    def layer(self) -> Layer:
        box = Box(*self.box)
        if self.pixels is not None:
            return Layer(self.pixels, box)
        pixels = np.zeros((box.height, box.width, 4), np.uint8)
        if self.alpha:
            pixels[:] = (*self.color, self.alpha)
        return Layer(pixels, box)


def design(
    layers: Sequence[Plain], base: Color = (255, 255, 255), merged: UInt8Array | None = None, caption: str = ""
) -> FilterInput:
    """A sample of plain layers, lowest first, over a plain base image."""
    records = tuple(
        LayerRecord.model_validate(
            {"index": index, "kind": layer.kind, "caption": "a thing", "box": layer.box, "seed": 0, "attempt": 0}
            | {"layout_box": layer.layout_box or layer.box}
            | dict.fromkeys(("sha256", "model", "revision", "licence"), "")
        )
        for index, layer in enumerate(layers)
    )
    sidecar = Sidecar(
        id="s1",
        canvas=CANVAS,
        style_category="flat",
        whole_caption=caption,
        base_caption="",
        layer_count=len(records),
        layers=records,
    )
    ground = np.full((CANVAS[1], CANVAS[0], 3), base, np.uint8)
    return FilterInput("s1", LayeredImage(ground, tuple(layer.layer() for layer in layers), merged), sidecar)
