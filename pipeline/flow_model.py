"""How long a plan takes: the run's flow, from draws to commits, played through with measured times instead of work.

One division of work by workers would be wrong in four ways: the processes behind the generator can be the bottleneck,
what is drawn again comes late in its chunk, the last chunks leave workers idle, and on one machine all processes share
its cores. All of it follows from the flow.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.chunk_flow import (
    COMMITTING,
    FILTERING,
    LAYER_CHECK,
    LAYER_FLUX,
    MATTING,
    MULTI_LAYER_FLUX,
    PACKING,
    TEXT_LAYER,
)
from pipeline.contention import Clock, clock_of
from pipeline.plan import Plan
from stages.records import BASE_IMAGE

LEAST_FOR_A_LINE = 6
"""Batches of a stage that are needed to tell a batch's own time from that of its items."""

Batches = Sequence[tuple[float, float]]
"""(units, seconds) of measured batches; a unit is a generated pixel, an item, or a picture of a sample: see `UNIT`."""

UNIT: Mapping[str, str] = {
    LAYER_FLUX: "pixels",
    **dict.fromkeys((MATTING, LAYER_CHECK, TEXT_LAYER), "items"),
    **dict.fromkeys((MULTI_LAYER_FLUX, FILTERING, PACKING, COMMITTING), "pictures"),
}
"""What a stage's time is counted by."""

WHOLE_CHUNK = (MULTI_LAYER_FLUX, FILTERING, PACKING, COMMITTING)
"""The stages that follow each other when all pictures of a chunk are there."""


@dataclass(frozen=True)
class StageCost:
    """What a batch of a stage takes: ``(fixed + per_unit · units) · f`` seconds, with f drawn from `spread`.

    Attributes:
        demand: cores that it keeps busy meanwhile; see `contention`.
    """

    fixed: float
    per_unit: float
    spread: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    demand: float = 0.0

    def seconds(self, units: float, rng: np.random.Generator) -> float:
        return (self.fixed + self.per_unit * units) * float(self.spread[rng.integers(len(self.spread))])


_NOTHING = StageCost(0.0, 0.0)


def fit_cost(batches: Batches, demand: float = 0.0) -> StageCost:
    """The line through measured batches by least squares; through the origin where they cannot tell more."""
    if not batches:
        return _NOTHING
    units, seconds = np.array(batches, dtype=np.float64).T
    fixed, per_unit = 0.0, float(seconds.sum() / max(units.sum(), 1e-12))
    if len(units) >= LEAST_FOR_A_LINE and units.std() > 0.1 * units.mean():
        slope, intercept = np.polyfit(units, seconds, 1)
        if slope > 0 and intercept > 0:
            fixed, per_unit = float(intercept), float(slope)
    spread = seconds / np.maximum(fixed + per_unit * units, 1e-12)
    return StageCost(fixed, per_unit, spread / max(float(spread.mean()), 1e-12), demand)


@dataclass(frozen=True)
class ChunkLoad:
    """What a chunk asks of the workers.

    Attributes:
        batches: (pictures, layers among them, pixels) of each planned batch.
        texts: text layers.
        pictures: base images, layers and text layers of all samples.
    """

    batches: tuple[tuple[int, int, int], ...]
    texts: int
    pictures: int
    samples: int

    @property
    def draws(self) -> int:
        return sum(pictures for pictures, _, _ in self.batches)


def chunk_load(plan: Plan, index: int) -> ChunkLoad:
    """The load of one chunk of a plan, without building its samples."""
    rows = plan.chunk_table(index)
    batches: dict[int, list[int]] = {}
    for draws in rows.column("draws").to_pylist():
        for draw in draws:
            batch = batches.setdefault(draw["batch"], [0, 0, 0])
            batch[0] += 1
            batch[1] += draw["layer_index"] != BASE_IMAGE
            batch[2] += draw["width"] * draw["height"]
    images, texts = (sum(rows.column(name).to_pylist()) for name in ("image_layers", "text_layers"))
    loads = tuple((batches[number][0], batches[number][1], batches[number][2]) for number in sorted(batches))
    return ChunkLoad(loads, texts, len(rows) + images + texts, len(rows))


@dataclass(frozen=True)
class FlowShape:
    """Who works.

    Attributes:
        light_workers: 0 where one process does everything.
        warm_up: in seconds by stage.
        cores: that all of them share; None where they have enough.
    """

    workers: int
    light_workers: int
    chunks_in_flight: int
    batch_size: int
    warm_up: Mapping[str, float] = field(default_factory=dict)
    cores: int | None = None


@dataclass(frozen=True)
class FlowResult:
    """What playing through told.

    Attributes:
        seconds: from the first batch's start to the last chunk's commit.
        steady_seconds: of one more picture to draw, when all workers are at work.
        drawn: pictures, those drawn again included.
        busy, light_busy: share of their time that the two kinds of workers spent in batches, in 0…1.
    """

    seconds: float
    steady_seconds: float
    drawn: int
    busy: float
    light_busy: float


def play(
    loads: Sequence[ChunkLoad],
    costs: Mapping[str, StageCost],
    redraw_rates: Sequence[float],
    shape: FlowShape,
    rng: np.random.Generator,
) -> FlowResult:
    """Plays the chunks through.

    Args:
        redraw_rates: chance that a layer fails its first check and is drawn again, its second, and so on.
    """
    return _Play(loads, costs, redraw_rates, shape, rng).result()


class _Workers:
    """Processes that take the earliest chunk's batch first."""

    def __init__(self, count: int) -> None:
        self.count = self.free = count
        self.waiting: list[tuple[int, int, float, float, Callable[[], None]]] = []
        self.busy_seconds = 0.0


class _Play:
    def __init__(
        self,
        loads: Sequence[ChunkLoad],
        costs: Mapping[str, StageCost],
        redraw_rates: Sequence[float],
        shape: FlowShape,
        rng: np.random.Generator,
    ) -> None:
        self._loads, self._costs, self._rates, self._shape, self._rng = loads, costs, redraw_rates, shape, rng
        self._generator = _Workers(shape.workers)
        self._light = _Workers(shape.light_workers) if shape.light_workers else self._generator
        self._cold = {stage: shape.workers if stage == LAYER_FLUX else self._light.count for stage in costs}
        self._numbers = itertools.count()
        self._clock: Clock[Callable[[], None]] = clock_of(shape.cores)
        self._drawn = 0
        self._commits: list[tuple[float, int]] = []
        self._remaining = iter(range(len(loads)))
        for _ in range(shape.chunks_in_flight):
            self._next_chunk()
        while (done := self._clock.next()) is not None:
            done()

    def result(self) -> FlowResult:
        total = max(self._clock.now, 1e-12)
        first, last = self._commits[len(self._commits) // 4], self._commits[3 * len(self._commits) // 4]
        done = last[1] - first[1]
        steady = (last[0] - first[0]) / done if done else total / max(sum(load.draws for load in self._loads), 1)
        busy, light = (each.busy_seconds / (each.count * total) for each in (self._generator, self._light))
        return FlowResult(total, steady, self._drawn, busy, light)

    def _submit(self, stage: str, chunk: int, units: float, then: Callable[[], None]) -> None:
        workers = self._generator if stage == LAYER_FLUX else self._light
        cost = self._costs.get(stage, _NOTHING)
        seconds = cost.seconds(units, self._rng)
        if self._cold.get(stage):  # each process is slower the first time that it does something
            self._cold[stage] -= 1
            seconds += self._shape.warm_up.get(stage, 0.0)
        heapq.heappush(workers.waiting, (chunk, next(self._numbers), seconds, cost.demand, then))
        self._start_waiting(workers)

    def _start_waiting(self, workers: _Workers) -> None:
        while workers.free and workers.waiting:
            _, _, seconds, demand, then = heapq.heappop(workers.waiting)
            workers.free -= 1
            self._clock.start(seconds, demand, partial(self._done, workers, self._clock.now, then))

    def _done(self, workers: _Workers, started: float, then: Callable[[], None]) -> None:
        workers.free += 1
        workers.busy_seconds += self._clock.now - started
        then()
        self._start_waiting(workers)

    def _next_chunk(self) -> None:
        index = next(self._remaining, None)
        if index is None:
            return
        load = self._loads[index]
        open_ends = [1 + bool(load.texts)]

        def pictures_ready() -> None:
            open_ends[0] -= 1
            if not open_ends[0]:
                self._whole_chunk(index, WHOLE_CHUNK)

        if load.texts:
            self._submit(TEXT_LAYER, index, load.texts, pictures_ready)
        self._attempt(index, load.batches, 0, pictures_ready)

    def _attempt(
        self, chunk: int, batches: Sequence[tuple[int, int, int]], attempt: int, then: Callable[[], None]
    ) -> None:
        """Draws, mattes and checks; when all of it is there, draws again what failed."""
        open_batches = [len(batches)]
        layers = sum(layers for _, layers, _ in batches)

        def done() -> None:
            open_batches[0] -= 1
            if open_batches[0] > 0:
                return
            rate = self._rates[attempt] if attempt < len(self._rates) else 0.0
            failed = int(self._rng.binomial(layers, rate)) if layers else 0
            if not failed:
                then()
                return
            pixels = sum(pixels for _, _, pixels in batches) // sum(pictures for pictures, _, _ in batches)
            size = self._shape.batch_size
            again = [min(size, failed - start) for start in range(0, failed, size)]
            self._attempt(chunk, [(count, count, count * pixels) for count in again], attempt + 1, then)

        for pictures, of_layers, pixels in batches:
            self._drawn += pictures
            if of_layers:
                check = partial(self._submit, LAYER_CHECK, chunk, of_layers, done)
                self._submit(LAYER_FLUX, chunk, pixels, partial(self._submit, MATTING, chunk, of_layers, check))
            else:
                self._submit(LAYER_FLUX, chunk, pixels, done)
        if not batches:
            open_batches[0] = 1
            done()

    def _whole_chunk(self, chunk: int, stages: Sequence[str]) -> None:
        if not stages:
            drawn = self._loads[chunk].draws + (self._commits[-1][1] if self._commits else 0)
            self._commits.append((self._clock.now, drawn))
            self._next_chunk()
            return
        then = partial(self._whole_chunk, chunk, stages[1:])
        self._submit(stages[0], chunk, self._loads[chunk].pictures, then)
