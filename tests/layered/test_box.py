import pytest
from hypothesis import given
from hypothesis import strategies as st

from layered import Box
from tests.layered.strategies import boxes


def cells(box: Box | None) -> set[tuple[int, int]]:
    """The pixels of a box, one by one: the oracle of all box arithmetic."""
    return set() if box is None else {(x, y) for x in range(box.x0, box.x1) for y in range(box.y0, box.y1)}


@given(boxes(20), boxes(20))
def test_intersection_is_the_common_pixels(a: Box, b: Box) -> None:
    assert cells(a.intersection(b)) == cells(a) & cells(b)


@given(boxes(20), boxes(20))
def test_union_is_the_smallest_box_that_contains_both(a: Box, b: Box) -> None:
    union = a.union(b)
    assert union.contains(a)
    assert union.contains(b)
    corners = [(a.x0, b.x0, union.x0), (a.y0, b.y0, union.y0)]
    assert all(value == min(pair) for *pair, value in corners)


@given(boxes(20), st.integers(1, 200), st.integers(1, 200))
def test_overflow_means_that_some_pixels_lie_outside(box: Box, width: int, height: int) -> None:
    assert box.overflows((width, height)) == bool(cells(box) - cells(Box.canvas((width, height))))


@given(boxes(), st.integers(-50, 50), st.integers(-50, 50))
def test_shifting_keeps_the_size_and_can_be_undone(box: Box, dx: int, dy: int) -> None:
    moved = box.shifted(dx, dy)
    assert moved.size == box.size
    assert moved.shifted(-dx, -dy) == box
    assert Box.of(moved.as_list()) == moved


@given(boxes(), st.floats(0.01, 4), st.floats(0.01, 4))
def test_scaling_never_makes_an_empty_box(box: Box, sx: float, sy: float) -> None:
    scaled = box.scaled(sx, sy)
    assert scaled.width >= 1
    assert scaled.height >= 1
    assert abs(scaled.x0 - box.x0 * sx) <= 0.5


@pytest.mark.parametrize("coordinates", [[4, 0, 4, 5], [0, 5, 3, 5], [9, 0, 3, 5]])
def test_an_empty_or_reversed_box_is_refused_with_its_coordinates(coordinates: list[int]) -> None:
    with pytest.raises(ValueError, match=r"is empty"):
        Box.of(coordinates)


@pytest.mark.parametrize("coordinates", [[0, 0, 4], [0, 0, 4.5, 5]])
def test_a_box_is_four_whole_numbers(coordinates: list[float]) -> None:
    with pytest.raises(ValueError, match="four whole numbers"):
        Box.of(coordinates)  # type: ignore[arg-type]
