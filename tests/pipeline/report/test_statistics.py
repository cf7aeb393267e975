"""Numbers of a report, against sums done by hand."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pools import BatchReport
from pipeline.report.statistics import plan_numbers, score_numbers, sitting_of, stage_times
from tests.pipeline.small_run import small_run

batch_reports = st.builds(
    lambda stage, worker, start, length, items: BatchReport(stage, worker, 0, items, 0, start, start + length),
    st.sampled_from(["layer_flux", "matting"]),
    st.sampled_from(["a-0", "a-1"]),
    st.integers(0, 50),
    st.integers(1, 20),
    st.integers(1, 9),
)


def scores_table(rows: list[tuple[str, int, str, float]]) -> pa.Table:
    return pa.Table.from_pylist(
        [dict(zip(("sample_id", "layer_index", "name", "score"), row, strict=True)) for row in rows],
        pa.schema(
            [("sample_id", pa.string()), ("layer_index", pa.int32()), ("name", pa.string()), ("score", pa.float64())]
        ),
    )


def test_a_plan_is_counted_with_its_batches(tmp_path: Path) -> None:
    numbers = plan_numbers(small_run(tmp_path), batch_size=4)
    assert (numbers.samples, numbers.chunks) == (9, 3)
    # Nine batches, one per sample, of three, four and four pictures in turn.
    assert numbers.pictures == 3 * (3 + 4 + 4)
    assert numbers.batch_fill == pytest.approx(11 / 12)


def test_without_a_batch_size_the_largest_batch_counts_as_full(tmp_path: Path) -> None:
    assert plan_numbers(small_run(tmp_path), None).batch_fill == pytest.approx(11 / 12)


@given(st.lists(batch_reports, min_size=1, max_size=12))
def test_stage_times_add_up(reports: list[BatchReport]) -> None:
    times = stage_times([reports[:3], reports[3:]])
    assert sum(time.seconds for time in times) == pytest.approx(sum(each.ended - each.started for each in reports))
    assert sum(time.items for time in times) == sum(each.items for each in reports)
    assert [time.seconds for time in times] == sorted((time.seconds for time in times), reverse=True)
    for time in times:
        assert time.seconds_per_item * time.items == pytest.approx(time.seconds)


@given(st.lists(batch_reports, min_size=1, max_size=12))
def test_a_worker_is_busy_in_each_second_in_which_any_of_its_batches_ran(reports: list[BatchReport]) -> None:
    sitting = sitting_of(reports)
    began, ended = min(each.started for each in reports), max(each.ended for each in reports)
    assert sitting.seconds == ended - began
    for worker in sitting.workers:
        seconds = {
            second
            for each in reports
            if each.worker == worker.worker
            for second in range(int(each.started), int(each.ended))
        }
        assert worker.busy_share == pytest.approx(len(seconds) / sitting.seconds)


def test_batches_that_follow_each_other_at_once_are_drawn_as_one() -> None:
    reports = [BatchReport("draw", "a-0", 0, 1, 0, start, start + 1) for start in range(1000)]
    reports.append(BatchReport("draw", "a-0", 0, 1, 0, 2000, 2001))
    (worker,) = sitting_of(reports).workers
    assert [(each.start, each.end) for each in worker.intervals] == [(0, 1000), (2000, 2001)]


def test_workers_stand_in_the_order_of_their_numbers() -> None:
    reports = [BatchReport("draw", f"a-{number}", 0, 1, 0, 0, 1) for number in (10, 9, 1)]
    assert [worker.worker for worker in sitting_of(reports).workers] == ["a-1", "a-9", "a-10"]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-1, 1) | st.just(math.nan)), min_size=1),
    st.integers(1, 5),
)
def test_flags_are_counted_by_row_and_by_sample(scored: list[tuple[int, float]], at_once: int) -> None:
    blocks: dict[int, list[tuple[str, int, str, float]]] = {}
    for row, (sample, score) in enumerate(scored):
        blocks.setdefault(sample // at_once, []).append((f"s{sample}", row, "clip", score))
    tables = [scores_table(rows) for rows in blocks.values()]
    (numbers,) = score_numbers(tables, {"clip": 0.25})
    below = [(sample, score) for sample, score in scored if not score >= 0.25]
    assert (numbers.rows, numbers.flagged) == (len(scored), len(below))
    assert numbers.flagged_samples == len({sample for sample, _ in below})
    finite = [score for _, score in scored if not math.isnan(score)]
    assert sorted(numbers.values) == sorted(finite)
    assert numbers.median == (pytest.approx(float(np.median(finite))) if finite else None)


def test_a_score_without_a_threshold_flags_nothing() -> None:
    table = scores_table([("a", -1, "holes", 0.1), ("a", -1, "clip", 0.1)])
    clip, holes = score_numbers([table], {"clip": 0.25})
    assert (clip.name, clip.threshold, clip.flagged) == ("clip", 0.25, 1)
    assert (holes.name, holes.threshold, holes.flagged) == ("holes", None, 0)
