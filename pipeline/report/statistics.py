"""The numbers of a report: how much was made, how fast, and what the filters said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layered.scores import Score
from ledger.run_directory import RunDirectory
from pipeline.pools import BatchReport


@dataclass(frozen=True)
class PlanNumbers:
    """What was planned.

    Attributes:
        pictures: base images and layers that a model draws, each counted once.
        batch_fill: mean share of a batch's places that is used, in 0…1; None where nothing is drawn.
    """

    samples: int
    chunks: int
    pictures: int
    batch_fill: float | None


@dataclass(frozen=True)
class StageTime:
    """How long workers were busy with one stage, in seconds, over all sittings of a run."""

    stage: str
    items: int
    seconds: float

    @property
    def seconds_per_item(self) -> float:
        return self.seconds / self.items


@dataclass(frozen=True)
class ScoreNumbers:
    """All scores of one name.

    Attributes:
        values: one per scored layer or whole image, those that are numbers.
        flagged: rows below the threshold; what is not a number is below any.
        flagged_samples: samples with at least one such row.
    """

    name: str
    values: NDArray[np.float64]
    threshold: float | None
    rows: int
    flagged: int
    flagged_samples: int

    @property
    def median(self) -> float | None:
        return float(np.median(self.values)) if len(self.values) else None


@dataclass(frozen=True)
class BusyInterval:
    """A worker was busy with a stage, `start` to `end` seconds after the sitting began."""

    stage: str
    start: float
    end: float


@dataclass(frozen=True)
class WorkerTime:
    """One worker during a sitting.

    Attributes:
        busy_share: of the sitting's time, in 0…1.
        troubles: when batches ended of which an item failed, or that had been tried before; seconds into the sitting.
    """

    worker: str
    intervals: tuple[BusyInterval, ...]
    busy_share: float
    troubles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sitting:
    """The time from the first batch's start to the last one's end, in seconds, and the workers by name."""

    seconds: float
    workers: tuple[WorkerTime, ...]


def plan_numbers(run: RunDirectory, batch_size: int | None) -> PlanNumbers:
    """Counts the plan without building its samples.

    Args:
        batch_size: places in a batch; where it is not known, that of the largest batch.
    """
    table = run.read_plan(["chunk", "draws"])
    draws = table.column("draws").combine_chunks()
    places = pa.table(
        {
            "chunk": table.column("chunk").combine_chunks().take(pc.list_parent_indices(draws)),
            "batch": pc.struct_field(pc.list_flatten(draws), "batch"),
        }
    )
    batches = places.group_by(["chunk", "batch"], use_threads=False).aggregate([([], "count_all")]).column("count_all")
    fill = None
    if len(batches):
        fill = len(places) / (len(batches) * (batch_size or pc.max(batches).as_py()))
    return PlanNumbers(len(table), len(pc.unique(table.column("chunk"))), len(places), fill)


def stage_times(sittings: Sequence[Sequence[BatchReport]]) -> list[StageTime]:
    """Busy time per stage, the longest first."""
    items: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for report in (report for sitting in sittings for report in sitting):
        items[report.stage] += report.items
        seconds[report.stage] += report.ended - report.started
    times = [StageTime(stage, items[stage], seconds[stage]) for stage in items if items[stage]]
    return sorted(times, key=lambda time: (-time.seconds, time.stage))


def sitting_of(reports: Sequence[BatchReport]) -> Sitting:
    """Who was busy when. Batches of one stage that follow each other almost at once become one interval."""
    began = min(report.started for report in reports)
    seconds = max(report.ended for report in reports) - began
    by_worker: dict[str, list[BusyInterval]] = defaultdict(list)
    troubles: dict[str, list[float]] = defaultdict(list)
    for report in reports:
        by_worker[report.worker].append(BusyInterval(report.stage, report.started - began, report.ended - began))
        if report.failed or report.attempt > 1:
            troubles[report.worker].append(report.ended - began)
    workers = [
        WorkerTime(
            worker,
            _joined(intervals, seconds / 1000),
            _covered(intervals) / seconds if seconds else 0.0,
            tuple(troubles[worker]),
        )
        for worker, intervals in by_worker.items()
    ]
    return Sitting(seconds, tuple(sorted(workers, key=lambda worker: _natural(worker.worker))))


def busy_workers(sitting: Sitting, points: int) -> dict[str, NDArray[np.float64]]:
    """How many workers were at each stage, on average over each of so many equal parts of the sitting.

    Returns:
        Stage → ``[points]``, in the order in which the stages first worked.
    """
    edges = np.linspace(0.0, max(sitting.seconds, 1e-9), points + 1)
    busy: dict[str, NDArray[np.float64]] = {}
    intervals = sorted((each for worker in sitting.workers for each in worker.intervals), key=lambda each: each.start)
    for interval in intervals:
        covered = np.minimum(edges[1:], interval.end) - np.maximum(edges[:-1], interval.start)
        busy.setdefault(interval.stage, np.zeros(points))
        busy[interval.stage] += np.maximum(covered, 0.0) / np.diff(edges)
    return busy


def score_numbers(tables: Iterable[pa.Table], thresholds: Mapping[str, float]) -> list[ScoreNumbers]:
    """Distribution and flags per score name, by name.

    Of a large run the values alone are kept, eight bytes each; the rows they come from take six times as much.

    Args:
        tables: score rows of some samples each, as of `RunIndex.score_batches`; a sample's rows of one name stand in
            one table.
    """
    kept: dict[str, list[ScoreNumbers]] = defaultdict(list)
    for table in tables:
        for name in pc.unique(table.column("name")).to_pylist():
            of_name = table.filter(pc.equal(table.column("name"), name))
            kept[name].append(_numbers_of_one(name, of_name, thresholds.get(name)))
    return [_summed(kept[name]) for name in sorted(kept)]


def _numbers_of_one(name: str, rows: pa.Table, threshold: float | None) -> ScoreNumbers:
    values = rows.column("score").to_numpy()
    below = ~(values >= threshold) if threshold is not None else np.zeros(len(values), bool)
    samples = pc.unique(rows.column("sample_id").filter(pa.array(below)))
    return ScoreNumbers(name, values[np.isfinite(values)], threshold, len(values), int(below.sum()), len(samples))


def _summed(parts: Sequence[ScoreNumbers]) -> ScoreNumbers:
    """The numbers of one score over all samples, from those of some each."""
    return ScoreNumbers(
        parts[0].name,
        np.concatenate([part.values for part in parts]),
        parts[0].threshold,
        sum(part.rows for part in parts),
        sum(part.flagged for part in parts),
        sum(part.flagged_samples for part in parts),
    )


def score_table(scores: Iterable[Score]) -> pa.Table:
    """Score rows as `RunIndex.score_batches` has them."""
    schema = pa.schema(
        [("sample_id", pa.string()), ("layer_index", pa.int32()), ("name", pa.string()), ("score", pa.float64())]
    )
    rows = [
        {"sample_id": row.sample_id, "layer_index": row.layer_index, "name": row.name, "score": row.score}
        for row in scores
    ]
    return pa.Table.from_pylist(rows, schema)


def _joined(intervals: Sequence[BusyInterval], gap: float) -> tuple[BusyInterval, ...]:
    """Neighbours of one stage that are no further apart than `gap` seconds as one, so that a long run can be drawn."""
    joined: list[BusyInterval] = []
    for interval in sorted(intervals, key=lambda interval: interval.start):
        last = joined[-1] if joined else None
        if last is not None and last.stage == interval.stage and interval.start - last.end <= gap:
            joined[-1] = BusyInterval(last.stage, last.start, max(last.end, interval.end))
        else:
            joined.append(interval)
    return tuple(joined)


def _covered(intervals: Sequence[BusyInterval]) -> float:
    """Seconds in which at least one interval holds."""
    covered, until = 0.0, 0.0
    for interval in sorted(intervals, key=lambda interval: interval.start):
        covered += max(0.0, interval.end - max(interval.start, until))
        until = max(until, interval.end)
    return covered


def _natural(worker: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key that puts worker 10 behind worker 9."""
    parts = ("".join(group) for _, group in groupby(worker, str.isdecimal))
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)
