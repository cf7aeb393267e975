"""A layered image: an opaque base and transparent layers above it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.compositing import composite


@dataclass(frozen=True, eq=False)
class Layer:
    """Straight RGBA pixels ``[box.height, box.width, 4]`` and where they stand. Raises ValueError on a mismatch."""

    pixels: UInt8Array
    box: Box

    def __post_init__(self) -> None:
        if self.pixels.shape != (self.box.height, self.box.width, 4):
            raise ValueError(f"pixels of shape {self.pixels.shape} do not fill the box {self.box.as_list()}")


@dataclass(frozen=True, eq=False)
class LayeredImage:
    """One design.

    Attributes:
        base: RGB ``[height, width, 3]``, opaque, the size of the canvas.
        layers: lowest first; boxes may overflow the canvas.
        merged: a model's own prediction of the whole image, RGB like `base`; None where no model made one.
    """

    base: UInt8Array
    layers: tuple[Layer, ...]
    merged: UInt8Array | None = None

    def __post_init__(self) -> None:
        if self.base.ndim != 3 or self.base.shape[2] != 3:
            raise ValueError(f"the base image must be RGB [height, width, 3], not of shape {self.base.shape}")
        if self.merged is not None and self.merged.shape != self.base.shape:
            raise ValueError(f"merged image {self.merged.shape} and base image {self.base.shape} differ in shape")

    @property
    def canvas(self) -> Size:
        return self.base.shape[1], self.base.shape[0]

    def whole(self) -> UInt8Array:
        """The exact composite of the stored 8-bit layers, RGB ``[height, width, 3]``."""
        return composite(self.base, ((layer.pixels, layer.box) for layer in self.layers))

    def without(self, indices: Collection[int]) -> LayeredImage:
        """The design with some layers left out. A merged image would show them still, so it goes too."""
        kept = tuple(layer for index, layer in enumerate(self.layers) if index not in indices)
        return replace(self, layers=kept, merged=None if len(kept) < len(self.layers) else self.merged)
