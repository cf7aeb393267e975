"""Regions: which tokens of a design are kept, and where on the canvas they stand.

A design is a sequence of regions: the merged image, the background, then the foregrounds bottom to top. The first two
fill the canvas; a foreground is cut to its box, aligned outward to the token grid (16 px for FLUX: VAE ÷8, patches of
2). Every token keeps its absolute place (layer, y, x) as its rotary position, so that tokens of different layers at one
place find each other (ART, arXiv 2502.18364).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from layered.arrays import Size
from layered.box import Box
from layered.errors import UserError

TOKEN = 16
"""Side of a token of FLUX in pixels."""

MERGED, BACKGROUND, FIRST_FOREGROUND = 0, 1, 2
"""Where a design's parts stand on the layer axis."""


@dataclass(frozen=True, slots=True)
class Region:
    """One layer's part of the sequence.

    Attributes:
        layer: place on the layer axis: 0 merged, 1 background, 2 the lowest foreground.
        box: the exact box in pixels.
        aligned: the box moved outward to the token grid, in pixels; negative or beyond the canvas where it overflows.
        token: side of a token in pixels.
    """

    layer: int
    box: Box
    aligned: Box
    token: int

    @property
    def rows(self) -> int:
        return self.aligned.height // self.token

    @property
    def columns(self) -> int:
        return self.aligned.width // self.token

    @property
    def tokens(self) -> int:
        return self.rows * self.columns

    def inner(self) -> Box:
        """The exact box, seen from the aligned box's corner."""
        return self.box.shifted(-self.aligned.x0, -self.aligned.y0)

    def positions(self) -> Tensor:
        """``[tokens, 3]`` int64: layer, y, x in tokens of the canvas, row by row; negative where it overflows."""
        top, left = self.aligned.y0 // self.token, self.aligned.x0 // self.token
        y = torch.arange(top, top + self.rows)[:, None].expand(self.rows, self.columns)
        x = torch.arange(left, left + self.columns)[None].expand(self.rows, self.columns)
        return torch.stack([torch.full_like(y, self.layer), y, x], -1).flatten(0, 1)


@dataclass(frozen=True)
class Regions:
    """The regions of one design, in the order of its tokens."""

    canvas: Size
    token: int
    items: tuple[Region, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each region."""
        return tuple(region.tokens for region in self.items)

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where in the sequence each region stands."""
        return tuple(slice(start, end) for start, end in pairwise([0, *accumulate(self.lengths)]))

    def positions(self) -> Tensor:
        """``[tokens, 3]`` int64: layer, y, x of every token, absolute on the canvas."""
        return torch.cat([region.positions() for region in self.items])


def regions_of(canvas: Size, boxes: Sequence[Box], *, token: int = TOKEN, clip_overflow: bool = False) -> Regions:
    """The regions of a design: merged and background are put before the foregrounds' boxes.

    Args:
        canvas: ``(width, height)`` in pixels; need not be a multiple of the token.
        boxes: foregrounds, bottom to top; any number, any aspect ratio, also beyond the canvas.
        token: side of a token in pixels.
        clip_overflow: cuts boxes at the canvas, as ART's released code does.

    Raises:
        UserError: for an empty canvas, or with `clip_overflow` a box that lies outside the canvas altogether.
    """
    if min(canvas) < 1:
        raise UserError(f"a canvas of {canvas[0]}×{canvas[1]} pixels holds nothing")
    whole = Box.canvas(canvas)
    kept = [_clipped(box, whole, index) for index, box in enumerate(boxes)] if clip_overflow else boxes
    items = (Region(layer, box, _aligned(box, token), token) for layer, box in enumerate([whole, whole, *kept]))
    return Regions(canvas, token, tuple(items))


def _clipped(box: Box, canvas: Box, index: int) -> Box:
    inside = box.intersection(canvas)
    if inside is None:
        raise UserError(
            f"layer {index}: its box {box.as_list()} lies outside the canvas {canvas.size}; move it or let it overflow"
        )
    return inside


def _aligned(box: Box, token: int) -> Box:
    return Box(
        box.x0 // token * token, box.y0 // token * token, -(-box.x1 // token) * token, -(-box.y1 // token) * token
    )
