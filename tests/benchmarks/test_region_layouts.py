"""Drawn layouts have the statistics that they promise."""

import numpy as np
import pytest

from benchmarks.region_layouts import MEAN_AREA, drawn_boxes, drawn_layer_count
from layered import Box


@pytest.mark.parametrize("count", [1, 2, 8, 50])
def test_boxes_have_the_stated_mean_area_and_lie_inside(count: int) -> None:
    canvas = (1024, 768)
    boxes = drawn_boxes(count, canvas, seed=count)
    assert len(boxes) == count
    assert all(Box.canvas(canvas).contains(box) for box in boxes)
    assert sum(box.area for box in boxes) / count / (1024 * 768) == pytest.approx(MEAN_AREA, rel=0.03)


def test_layer_counts_have_the_stated_histogram() -> None:
    generator = np.random.default_rng(0)
    counts = np.array([drawn_layer_count(generator) for _ in range(4000)])
    assert ((counts >= 6) & (counts < 9)).mean() == pytest.approx(0.335, abs=0.03)
    assert (counts >= 20).mean() == pytest.approx(0.021, abs=0.01)
