"""Layers are aligned in order at the least cost, and their errors have values that can be worked out by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evaluation.layer_alignment import layer_errors, rgb_l1, soft_iou, warping_path
from layered.box import Box
from layered.image import Layer, LayeredImage

RED, BLUE = (255, 0, 0, 255), (0, 0, 255, 255)


def layer(color: tuple[int, int, int, int], box: Box) -> Layer:
    return Layer(np.full((box.height, box.width, 4), color, np.uint8), box)


def image(*layers: Layer) -> LayeredImage:
    return LayeredImage(np.full((8, 8, 3), 200, np.uint8), layers)


LEFT, RIGHT = Box(0, 0, 4, 8), Box(4, 0, 8, 8)
TRUTH = image(layer(RED, LEFT), layer(BLUE, RIGHT))


def all_paths(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    if rows == columns == 1:
        return [[(0, 0)]]
    before = []
    for i, j in ((rows - 1, columns), (rows, columns - 1), (rows - 1, columns - 1)):
        if min(i, j) > 0:
            before += all_paths(i, j)
    return [[*path, (rows - 1, columns - 1)] for path in before]


@given(arrays.arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 10)))
def test_the_path_is_the_cheapest_of_all(costs: np.ndarray) -> None:
    path = warping_path(costs)
    assert path[0] == (0, 0)
    assert path[-1] == (costs.shape[0] - 1, costs.shape[1] - 1)
    steps = {(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(path)}
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    best = min(sum(costs[step] for step in each) for each in all_paths(*costs.shape))
    assert sum(costs[step] for step in path) == pytest.approx(best)


def test_equal_designs_have_no_error() -> None:
    found = layer_errors(TRUTH, TRUTH)
    assert (found.rgb_l1, found.soft_iou) == (0, 1)


def test_a_layer_cut_in_two_is_matched_twice() -> None:
    halves = image(layer(RED, Box(0, 0, 4, 4)), layer(RED, Box(0, 4, 4, 8)), layer(BLUE, RIGHT))
    found = layer_errors(halves, TRUTH)
    # Base and blue layer are right; each half of the red one covers half of it. Beyond the half, red stands against
    # gray: (127.5 + 127.5 + 127.5) / 3 of 255, over half of the weight.
    assert found.soft_iou == pytest.approx((1 + 0.5 + 0.5 + 1) / 4)
    assert found.rgb_l1 == pytest.approx((0.25 + 0.25) / 4)


def test_the_order_of_layers_matters() -> None:
    turned = image(*reversed(TRUTH.layers))
    assert layer_errors(turned, TRUTH).soft_iou < 0.8


def test_colours_are_weighted_by_what_is_visible() -> None:
    one = np.zeros((2, 2, 4), np.float32)
    assert rgb_l1(one, one) == 0
    one[0, 0] = (1, 0, 0, 1)
    other = np.zeros((2, 2, 4), np.float32)
    other[0, 0] = (0, 0, 1, 1)
    assert rgb_l1(one, other) == pytest.approx(2 / 3)
    assert rgb_l1(one, np.zeros_like(one)) == pytest.approx(0.5)


@given(arrays.arrays(np.float32, (2, 5), elements=st.floats(0, 1, width=32)))
def test_soft_iou_is_a_likeness(alphas: np.ndarray) -> None:
    one, other = alphas
    assert 0 <= soft_iou(one, other) <= 1
    assert soft_iou(one, other) == soft_iou(other, one)
    assert soft_iou(one, one) == 1


def test_soft_iou_of_half_transparent_pixels() -> None:
    assert soft_iou(np.full((2, 2), 0.25, np.float32), np.full((2, 2), 0.5, np.float32)) == 0.5


def test_what_overflows_the_canvas_does_not_count() -> None:
    inside, overflowing = layer(RED, LEFT), layer(RED, Box(-6, -3, 4, 11))
    assert layer_errors(image(inside), image(overflowing)).soft_iou == 1


def test_other_canvases_cannot_be_compared() -> None:
    other = replace(TRUTH, base=np.zeros((4, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="cannot be compared"):
        layer_errors(TRUTH, other)
