"""Boxes: where a layer stands on the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layered.arrays import Size


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A rectangle in canvas pixels, right and bottom exclusive. It may reach beyond the canvas, so it may be negative.

    Raises:
        ValueError: when the box is empty or turned around.
    """

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if self.x0 >= self.x1 or self.y0 >= self.y1:
            raise ValueError(f"box {self.as_list()} is empty: x0 < x1 and y0 < y1 are needed")

    @classmethod
    def of(cls, coordinates: Sequence[int]) -> Box:
        """The box ``[x0, y0, x1, y1]``. Raises ValueError unless there are four whole numbers."""
        whole = [int(value) for value in coordinates]
        if len(whole) != 4 or whole != list(coordinates):
            raise ValueError(f"a box is four whole numbers [x0, y0, x1, y1], not {list(coordinates)}")
        return cls(*whole)

    @classmethod
    def canvas(cls, size: Size) -> Box:
        """The box of a whole canvas of ``(width, height)``."""
        return cls(0, 0, *size)

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def size(self) -> Size:
        return self.width, self.height

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def as_tuple(self) -> tuple[int, int, int, int]:
        return self.x0, self.y0, self.x1, self.y1

    def as_list(self) -> list[int]:
        return [self.x0, self.y0, self.x1, self.y1]

    def shifted(self, dx: int, dy: int) -> Box:
        return Box(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def scaled(self, sx: float, sy: float) -> Box:
        """The box on a canvas resized by ``sx`` and ``sy``, edges rounded; never thinner than one pixel."""
        x0, y0 = round(self.x0 * sx), round(self.y0 * sy)
        return Box(x0, y0, max(x0 + 1, round(self.x1 * sx)), max(y0 + 1, round(self.y1 * sy)))

    def intersection(self, other: Box) -> Box | None:
        """The common rectangle, or None where the two do not overlap."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        x1, y1 = min(self.x1, other.x1), min(self.y1, other.y1)
        return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def union(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def contains(self, other: Box) -> bool:
        return self.union(other) == self

    def overflows(self, canvas: Size) -> bool:
        """Whether some of the box lies outside a canvas of ``(width, height)``."""
        return not Box.canvas(canvas).contains(self)

    def pixels(self) -> tuple[slice, slice]:
        """Index into an array ``[height, width, …]`` that holds the box completely."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)
