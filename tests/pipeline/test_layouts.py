"""Where the designer puts things."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layered.box import Box
from pipeline.layouts import (
    GROUND,
    WATER,
    Item,
    in_grid,
    in_ring,
    painters_order,
    pushed_over_edge,
    scattered,
)

CANVASES = st.tuples(st.integers(200, 1400), st.integers(200, 1400)).filter(lambda size: max(size) < 2 * min(size))
SCENES = st.sampled_from([*GROUND, "night", "paper", "sunset"])


def items_for(canvas: tuple[int, int], parts: list[float], zone: str) -> list[Item]:
    return [Item(part * min(canvas), zone) for part in parts]  # type: ignore[arg-type]


PARTS = st.lists(st.floats(0.1, 0.5), min_size=1, max_size=12)
ZONES = st.sampled_from(["sky", "ground", "water", "free"])


@given(canvas=CANVASES, parts=PARTS, zone=ZONES, scene=SCENES, seed=st.integers(0, 99))
def test_scattered_things_stay_on_the_canvas(
    canvas: tuple[int, int], parts: list[float], zone: str, scene: str, seed: int
) -> None:
    boxes = scattered(items_for(canvas, parts, zone), scene, canvas, [], random.Random(seed))
    assert len(boxes) == len(parts)
    assert all(not box.overflows(canvas) for box in boxes)


@given(scene=st.sampled_from(sorted(GROUND)), parts=PARTS, seed=st.integers(0, 99))
def test_feet_stand_on_the_ground_of_the_scene(scene: str, parts: list[float], seed: int) -> None:
    canvas = (600, 500)
    low, high = GROUND[scene]
    for box in scattered(items_for(canvas, parts, "ground"), scene, canvas, [], random.Random(seed)):
        assert low * 500 - 1 <= box.y1 <= high * 500 + 1


@given(scene=st.sampled_from(sorted(WATER)), seed=st.integers(0, 99))
def test_hulls_lie_on_the_water(scene: str, seed: int) -> None:
    (box,) = scattered([Item(150, "water")], scene, (600, 500), [], random.Random(seed))
    assert WATER[scene][0] * 500 - 1 <= box.y1 <= WATER[scene][1] * 500 + 1


@given(seed=st.integers(0, 200))
def test_few_things_do_not_hide_each_other_or_the_title(seed: int) -> None:
    canvas, title = (600, 600), Box(100, 20, 500, 90)
    boxes = scattered([Item(130, "free")] * 5, "paper", canvas, [title], random.Random(seed))
    for index, box in enumerate(boxes):
        assert box.intersection(title) is None
        for other in boxes[:index]:
            common = box.intersection(other)
            assert common is None or common.area <= 0.3 * min(box.area, other.area)


@given(canvas=CANVASES, count=st.integers(1, 20), title=st.booleans(), seed=st.integers(0, 99))
def test_a_grid_has_no_overlaps_and_stays_below_the_title(
    canvas: tuple[int, int], count: int, title: bool, seed: int
) -> None:
    reserved = [Box(10, 5, canvas[0] - 10, canvas[1] // 4)] if title else []
    boxes = in_grid([Item(0.4 * min(canvas), "free")] * count, canvas, reserved, random.Random(seed))
    assert len(boxes) == count
    for index, box in enumerate(boxes):
        assert not box.overflows(canvas)
        assert not any(box.intersection(other) for other in [*reserved, *boxes[:index]])


@given(canvas=CANVASES, count=st.integers(5, 12), seed=st.integers(0, 99))
def test_a_ring_leaves_its_middle_to_the_title(canvas: tuple[int, int], count: int, seed: int) -> None:
    title = Box.canvas(canvas).scaled(0.2, 0.1).shifted(round(canvas[0] * 0.4), round(canvas[1] * 0.45))
    boxes = in_ring([Item(0.25 * min(canvas), "free")] * count, canvas, [title], random.Random(seed))
    assert len(boxes) == count
    assert all(not box.overflows(canvas) and box.intersection(title) is None for box in boxes)


@given(x=st.integers(0, 500), side=st.integers(20, 200), seed=st.integers(0, 99))
def test_what_is_pushed_over_the_edge_mostly_stays(x: int, side: int, seed: int) -> None:
    canvas = (700, 400)
    pushed = pushed_over_edge(Box(x, 10, x + side, 10 + side), canvas, random.Random(seed))
    inside = pushed.intersection(Box.canvas(canvas))
    assert inside is not None
    assert pushed.size == (side, side)
    assert inside.area / pushed.area == pytest.approx(0.79, abs=0.12)


def test_what_is_nearer_is_painted_later() -> None:
    items = [Item(10, "ground"), Item(10, "sky"), Item(10, "ground"), Item(10, "water")]
    boxes = [Box(0, 80, 10, 90), Box(0, 5, 10, 95), Box(0, 60, 10, 70), Box(0, 20, 10, 30)]
    assert painters_order(boxes, items) == [1, 3, 2, 0]
