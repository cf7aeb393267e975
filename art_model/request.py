"""What ART is asked for: a prompt, a layout, and the parts of the design that are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from art_model.regions import BACKGROUND, FIRST_FOREGROUND, MERGED
from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.brief import Brief
from layered.errors import UserError

MOST_LAYERS = 100
"""Layers of a sample are numbered with two digits."""

LARGEST_BOX = 4
"""A box with a side of more than this many times the canvas's longer side is taken for a mistake."""


@dataclass(frozen=True)
class Layout:
    """An anonymous layout: boxes without captions.

    Attributes:
        canvas: ``(width, height)`` in pixels, of any size.
        boxes: of the foreground layers, bottom to top; may overflow the canvas.

    Raises:
        UserError: for a layout that cannot be drawn; the layer is named.
    """

    canvas: Size
    boxes: tuple[Box, ...]

    def __post_init__(self) -> None:
        shown = f"{self.canvas[0]}×{self.canvas[1]}"
        if min(self.canvas) < 1:
            raise UserError(f"a canvas of {shown} pixels cannot be drawn on")
        if len(self.boxes) > MOST_LAYERS:
            raise UserError(f"the layout has {len(self.boxes)} layers; at most {MOST_LAYERS} are possible")
        for index, box in enumerate(self.boxes):
            if box.intersection(Box.canvas(self.canvas)) is None:
                raise UserError(f"layer {index}: the box {box.as_list()} lies outside the canvas of {shown}")
            if max(box.size) > LARGEST_BOX * max(self.canvas):
                too_long = f"is over {LARGEST_BOX} times as long as the canvas of {shown}"
                raise UserError(f"layer {index}: the box {box.as_list()} {too_long}")

    @classmethod
    def of(cls, brief: Brief) -> Layout:
        """The boxes of a brief."""
        return cls(brief.canvas, tuple(layer.placed_box() for layer in brief.layers))


@dataclass(frozen=True, eq=False)
class Held:
    """The parts of a design that are given and stay as they are, byte for byte; all others are generated.

    Holding all layers but some edits these; holding the merged image alone takes a picture apart; holding all layers of
    a design and asking for one box more adds a layer; another prompt restyles what is not held.

    Attributes:
        merged, background: opaque, RGB ``[height, width, 3]`` or RGBA, of the canvas's size.
        layers: straight RGBA ``[box.height, box.width, 4]`` by the layer's index, 0 the lowest foreground.
    """

    merged: UInt8Array | None = None
    background: UInt8Array | None = None
    layers: Mapping[int, UInt8Array] = field(default_factory=dict)

    def check(self, layout: Layout) -> None:
        """Raises UserError when a part does not fit into the layout, or when nothing is left to generate."""
        for name, pixels in (("merged image", self.merged), ("background", self.background)):
            if pixels is not None:
                _check_opaque(name, pixels, layout.canvas)
        for index, pixels in self.layers.items():
            if not 0 <= index < len(layout.boxes):
                raise UserError(f"layer {index} cannot be held: the layout has layers 0…{len(layout.boxes) - 1}")
            width, height = layout.boxes[index].size
            if pixels.dtype != np.uint8 or pixels.shape != (height, width, 4):
                raise UserError(
                    f"held layer {index} must be 8-bit RGBA of {width}×{height} pixels as its box, "
                    f"not {pixels.dtype} of shape {list(pixels.shape)}"
                )
        if self.merged is not None and self.background is not None and len(self.layers) == len(layout.boxes):
            raise UserError("everything is held, so that nothing is left to generate: hold less")

    def by_region(self) -> dict[int, UInt8Array]:
        """Pixels by place on the layer axis, all as straight RGBA."""
        opaque = {MERGED: self.merged, BACKGROUND: self.background}
        found = {place: _with_alpha(pixels) for place, pixels in opaque.items() if pixels is not None}
        return found | {FIRST_FOREGROUND + index: pixels for index, pixels in sorted(self.layers.items())}


@dataclass(frozen=True)
class SampleRequest:
    """One design to sample.

    Attributes:
        sample_id: names the design; a part of what the noise is derived from.
        seed: another seed, another design. A layer's noise depends on the seed, the sample's id and the layer's index
            alone, so that one more layer changes no other layer's noise.
    """

    prompt: str
    layout: Layout
    negative_prompt: str = ""
    held: Held = field(default_factory=Held)
    sample_id: str = "sample"
    seed: int = 0

    def __post_init__(self) -> None:
        self.held.check(self.layout)


def _check_opaque(name: str, pixels: UInt8Array, canvas: Size) -> None:
    width, height = canvas
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise UserError(f"the held {name} must be 8-bit RGB, not {pixels.dtype} of shape {list(pixels.shape)}")
    if pixels.shape[:2] != (height, width):
        raise UserError(
            f"the held {name} has {pixels.shape[1]}×{pixels.shape[0]} pixels, the canvas {width}×{height}: scale one"
        )
    if pixels.shape[2] == 4 and (pixels[..., 3] < 255).any():
        raise UserError(f"the held {name} is transparent: flatten it first")


def _with_alpha(pixels: UInt8Array) -> UInt8Array:
    if pixels.shape[2] == 4:
        return pixels
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
