"""Charts: where their bars stand, and in which colour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from layered.arrays import UInt8Array
from layered.png import decode_png
from pipeline.report.charts import (
    ACCEPTED_COLOR,
    BINS,
    FLAGGED_COLOR,
    STAGE_COLORS,
    TROUBLE_COLOR,
    bin_edges,
    draw_scores,
    draw_timeline,
    time_unit,
)
from pipeline.report.statistics import BusyInterval, ScoreNumbers, Sitting, WorkerTime, busy_workers

scores = st.floats(-1e3, 1e3)


def colored(picture: UInt8Array, color: str) -> np.ndarray:
    return np.all(picture[..., :3] == ImageColor.getrgb(color), axis=-1)


def numbers_of(values: list[float], threshold: float | None) -> ScoreNumbers:
    below = sum(threshold is not None and value < threshold for value in values)
    return ScoreNumbers("clip", np.array(values), threshold, len(values), below, below)


@given(st.lists(scores, max_size=40), scores | st.none())
def test_bins_hold_all_values_and_part_at_the_threshold(values: list[float], threshold: float | None) -> None:
    edges = bin_edges(np.array(values), threshold)
    assert threshold is None or threshold in edges
    assert len(edges) <= BINS + 3
    assert np.all(np.diff(edges) > 0)
    slack = 1e-9 * 1e3
    assert all(edges[0] - slack <= value <= edges[-1] + slack for value in values)


def test_bars_below_the_threshold_are_red_and_left_of_the_others() -> None:
    picture = decode_png(draw_scores([numbers_of([0.1, 0.5, 0.6, 0.7], 0.2)]))
    red, blue = colored(picture, FLAGGED_COLOR), colored(picture, ACCEPTED_COLOR)
    assert red.any()
    assert np.flatnonzero(red.any(axis=0)).max() < np.flatnonzero(blue.any(axis=0)).min()


def test_nothing_is_red_without_a_threshold_or_above_it() -> None:
    for threshold in (None, 0.05):
        picture = decode_png(draw_scores([numbers_of([0.1, 0.5, 0.6], threshold)]))
        assert colored(picture, ACCEPTED_COLOR).any()
        assert not colored(picture, FLAGGED_COLOR).any()


def test_a_score_that_was_never_a_number_is_drawn_as_an_empty_chart() -> None:
    picture = decode_png(draw_scores([numbers_of([], 0.2)]))
    assert not colored(picture, ACCEPTED_COLOR).any()


def test_a_bar_of_the_timeline_is_as_long_as_the_work() -> None:
    workers = (
        WorkerTime("a-0", (BusyInterval("draw", 0, 10),), 1.0),
        WorkerTime("a-1", (BusyInterval("draw", 5, 10),), 0.5),
    )
    picture = decode_png(draw_timeline(Sitting(10, workers)))
    rows = picture[picture.shape[0] // 2 :]  # below the curve
    lengths = colored(rows, STAGE_COLORS[0]).sum(axis=1)
    full = lengths.max()
    assert full > picture.shape[1] / 2
    assert (np.abs(lengths - full / 2) <= 2).sum() >= 10


def test_the_curve_is_as_high_as_workers_are_busy() -> None:
    workers = (
        WorkerTime("a-0", (BusyInterval("draw", 0, 10),), 1.0),
        WorkerTime("a-1", (BusyInterval("matte", 5, 10),), 0.5),
    )
    busy = busy_workers(Sitting(10, workers), 20)
    assert list(busy) == ["draw", "matte"]
    assert np.allclose(busy["draw"], 1)
    assert np.allclose(busy["matte"], [0] * 10 + [1] * 10)


def test_troubles_are_marked_where_they_were_and_explained() -> None:
    well, ill = (
        decode_png(draw_timeline(Sitting(10, (WorkerTime("a-0", (BusyInterval("draw", 0, 10),), 1.0, troubles),))))
        for troubles in ((), (5.0,))
    )
    assert not colored(well, TROUBLE_COLOR).any()
    marks = colored(ill, TROUBLE_COLOR)
    assert marks[: ill.shape[0] // 4].any()  # the legend
    across = np.flatnonzero(marks[ill.shape[0] // 2 :].any(axis=0))
    assert 0.4 * ill.shape[1] < across.mean() < 0.6 * ill.shape[1]


@pytest.mark.parametrize(
    ("seconds", "unit"), [(20.0, "seconds"), (600.0, "minutes"), (20_000.0, "hours"), (500_000.0, "days")]
)
def test_long_runs_are_told_in_longer_units(seconds: float, unit: str) -> None:
    assert time_unit(seconds)[0] == unit
