"""Charts: where their bars stand, and in which colour."""

import numpy as np
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
    bin_edges,
    draw_scores,
    draw_timeline,
)
from pipeline.report.statistics import BusyInterval, ScoreNumbers, Sitting, WorkerTime

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
    lengths = colored(picture, STAGE_COLORS[0]).sum(axis=1)
    full = lengths.max()
    assert full > picture.shape[1] / 2
    assert (np.abs(lengths - full / 2) <= 2).sum() >= 10
