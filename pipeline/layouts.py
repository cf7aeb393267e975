"""Where things stand in a design: in the sky, on the ground, on the water, in a grid or in a ring.

Lengths are pixels unless they are called parts, which are of the canvas's width or height, measured from the top left.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from layered.arrays import Size
from layered.box import Box

Zone = Literal["sky", "ground", "water", "free"]

GROUND: Mapping[str, tuple[float, float]] = {
    "beach": (0.78, 0.96),
    "meadow": (0.68, 0.96),
    "hills": (0.70, 0.96),
    "city": (0.87, 0.97),
    "snow": (0.70, 0.96),
    "desert": (0.70, 0.96),
    "forest": (0.84, 0.97),
    "mountains": (0.82, 0.97),
    "road": (0.62, 0.96),
    "room": (0.75, 0.96),
}
"""Where feet may stand in a scene, as parts of the height; in all other scenes things float freely."""

WATER: Mapping[str, tuple[float, float]] = {"beach": (0.50, 0.64), "sunset": (0.70, 0.95)}
"""Where hulls may lie in a scene."""

SKY = (0.03, 0.45)
"""Where things that fly may be, top to bottom, as parts of the height."""

COVERED = 0.5
"""How much of a zone's area the things in it may take."""

_TRIES = 64  # random places for one thing; it gets smaller after every 16
_SMALLER = 0.88
_FREE, _CROWDED = 0.02, 0.3  # how much may be hidden: at once, and once it is clear that the zone is crowded
_MARGIN = 0.03


@dataclass(frozen=True)
class Item:
    """Something to be placed: the side of its square box, and where it belongs."""

    side: float
    zone: Zone


def scattered(
    items: Sequence[Item], scene: str, canvas: Size, reserved: Sequence[Box], rng: random.Random
) -> list[Box]:
    """A box for each item, in its zone of the scene: of some random places the one that hides least of all else."""
    top = max((box.y1 for box in reserved if box.y0 < canvas[1] / 3), default=0)
    shrink = {zone: _shrink(items, zone, scene, canvas, top) for zone in {item.zone for item in items}}
    boxes: dict[int, Box] = {}
    texts, placed = [_with_area(box) for box in reserved], list[_WithArea]()
    for index in sorted(range(len(items)), key=lambda index: -items[index].side):
        item = items[index]
        least = math.inf
        for attempt in range(_TRIES):
            side = item.side * shrink[item.zone] * _SMALLER ** (attempt // 16)
            corners = _candidate(side, item.zone, scene, canvas, top, rng)
            crowding = _crowding(corners, placed, texts, least)
            if crowding < least:
                least, boxes[index] = crowding, Box(*corners)
            if least < (_FREE if attempt < 16 else _CROWDED):
                break
        placed.append(_with_area(boxes[index]))
    return [boxes[index] for index in range(len(items))]


def in_grid(items: Sequence[Item], canvas: Size, reserved: Sequence[Box], rng: random.Random) -> list[Box]:
    """Rows and columns of equal cells below `reserved`; a short last row is centred."""
    margin = round(_MARGIN * min(canvas))
    top, bottom = max((box.y1 for box in reserved), default=0) + margin, canvas[1] - margin
    columns = max(1, round(math.sqrt(len(items) * canvas[0] / (bottom - top))))
    rows = math.ceil(len(items) / columns)
    columns = math.ceil(len(items) / rows)
    cell_width, cell_height = canvas[0] / columns, (bottom - top) / rows
    boxes = []
    for index, item in enumerate(items):
        row, column = divmod(index, columns)
        in_row = min(columns, len(items) - row * columns)
        x = (canvas[0] - in_row * cell_width) / 2 + (column + 0.5) * cell_width
        y = top + (row + 0.5) * cell_height
        side = min(0.84 * min(cell_width, cell_height), 1.5 * item.side) * rng.uniform(0.92, 1)
        boxes.append(square(x, y, side))
    return boxes


def in_ring(items: Sequence[Item], canvas: Size, reserved: Sequence[Box], rng: random.Random) -> list[Box]:
    """The items around the middle, evenly on an ellipse; the first one in the middle when nothing is reserved there."""
    width, height = canvas
    center = Box(width * 2 // 5, height * 2 // 5, width * 3 // 5, height * 3 // 5)
    middle_is_free = len(items) > 4 and not any(box.intersection(center) for box in reserved)
    around = items[1:] if middle_is_free else items
    boxes = [square(width / 2, height / 2, 1.1 * items[0].side)] if middle_is_free else []
    turn = rng.uniform(0, 2 * math.pi)
    step = math.pi * (width + height) / 2 * 0.66 / len(around)
    for index, item in enumerate(around):
        side = min(item.side, step, 0.27 * min(canvas))
        angle = turn + 2 * math.pi * index / len(around)
        x = width / 2 + (width / 2 - 0.56 * side - _MARGIN * width) * math.cos(angle)
        y = height / 2 + (height / 2 - 0.56 * side - _MARGIN * height) * math.sin(angle)
        boxes.append(square(x, y, side))
    return boxes


def square(x: float, y: float, side: float) -> Box:
    """The square box of this side around a centre, in whole pixels, at least 8 of them."""
    return Box(*_square_corners(x, y, side))


def pushed_over_edge(box: Box, canvas: Size, rng: random.Random) -> Box:
    """The box moved to the nearer side of the canvas, so that 12–30 % of it lie outside."""
    outside = round(box.width * rng.uniform(0.12, 0.3))
    if box.center[0] < canvas[0] / 2:
        return box.shifted(-outside - box.x0, 0)
    return box.shifted(canvas[0] + outside - box.x1, 0)


def painters_order(boxes: Sequence[Box], items: Sequence[Item]) -> list[int]:
    """Indices from the farthest to the nearest: the sky first, then what stands higher up, large before small."""
    depth = {"sky": 0, "water": 1, "ground": 2, "free": 2}

    def key(index: int) -> tuple[int, int, int]:
        box, zone = boxes[index], items[index].zone
        return depth[zone], -box.area if zone == "free" else box.y1, index

    return sorted(range(len(boxes)), key=key)


# What follows is asked for a thousand times a design: corners are plain numbers until a place is taken.

_Corners = tuple[int, int, int, int]
_WithArea = tuple[int, int, int, int, int]


def _with_area(box: Box) -> _WithArea:
    return box.x0, box.y0, box.x1, box.y1, box.area


def _square_corners(x: float, y: float, side: float) -> _Corners:
    whole = max(8, round(side))
    x0, y0 = round(x - whole / 2), round(y - whole / 2)
    return x0, y0, x0 + whole, y0 + whole


def _candidate(side: float, zone: Zone, scene: str, canvas: Size, top: int, rng: random.Random) -> _Corners:
    low, high = _centres(side, zone, scene, canvas, top)
    left = _MARGIN * min(canvas) + side / 2
    x = rng.uniform(left, max(left, canvas[0] - left))
    return _square_corners(x, rng.uniform(low, max(low, high)), side)


def _centres(side: float, zone: Zone, scene: str, canvas: Size, top: int) -> tuple[float, float]:
    """The range of heights, in pixels, where a thing's centre may be."""
    height = canvas[1]
    margin = _MARGIN * min(canvas)
    if zone == "ground" and scene in GROUND:
        low, high = GROUND[scene]
        return low * height - side / 2, high * height - side / 2
    if zone == "water" and scene in WATER:
        low, high = WATER[scene]
        return low * height - side / 2, high * height - side / 2
    first = max(top, SKY[0] * height) + side / 2
    if zone == "sky" and scene in GROUND:
        return first, max(first, SKY[1] * height - side / 2)
    return max(top, margin) + side / 2, height - margin - side / 2


def _shrink(items: Sequence[Item], zone: Zone, scene: str, canvas: Size, top: int) -> float:
    """The factor, at most 1, that lets all items of a zone have room in it."""
    sides = [item.side for item in items if item.zone == zone]
    mean = sum(sides) / len(sides)
    low, high = _centres(mean, zone, scene, canvas, top)
    room = canvas[0] * (max(0.0, high - low) + mean)
    return min(1.0, math.sqrt(COVERED * room / sum(side * side for side in sides)))


def _crowding(corners: _Corners, placed: Sequence[_WithArea], texts: Sequence[_WithArea], enough: float) -> float:
    """How much of a place or of its neighbours is hidden; what covers text counts threefold.

    Args:
        enough: as soon as there is so much, the rest does not matter.
    """
    area = (corners[2] - corners[0]) * (corners[3] - corners[1])
    hidden = _hidden(corners, area, placed, enough)
    return hidden if hidden >= enough else hidden + 3 * _hidden(corners, area, texts, math.inf)


def _hidden(corners: _Corners, area: int, others: Sequence[_WithArea], enough: float) -> float:
    """The common areas of a place and others, as parts of the smaller of the two, summed."""
    x0, y0, x1, y1 = corners
    hidden = 0.0
    for left, top, right, bottom, other in others:
        if left >= x1 or right <= x0 or top >= y1 or bottom <= y0:
            continue
        width = (right if right < x1 else x1) - (left if left > x0 else x0)
        height = (bottom if bottom < y1 else y1) - (top if top > y0 else y0)
        hidden += width * height / (area if area < other else other)
        if hidden >= enough:
            break
    return hidden
