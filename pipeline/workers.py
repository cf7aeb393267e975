"""Workers for a run, and work done a few pieces at a time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from ledger.run_directory import RunDirectory
from pipeline.config import RunConfig
from pipeline.executor import RayPools
from pipeline.inline import InlinePools
from pipeline.phases import Phase, record_phase
from pipeline.pools import BatchReport, Pools
from pipeline.progress import RunProgress
from pipeline.retrying import FaultReport
from pipeline.stage_set import StageSet
from pipeline.timings import timings_log
from pipeline.watching import WatchedPools, watching


@asynccontextmanager
async def pools_of(
    config: RunConfig,
    stages: StageSet,
    on_batch: Callable[[BatchReport], None],
    on_fault: Callable[[FaultReport], None],
    say: Callable[[str], None],
    batches: int,
) -> AsyncIterator[Pools]:
    """Workers as the configuration wants them: Ray actors, or this process.

    Args:
        on_batch, on_fault, say: see `RayPools`.
        batches: of the generator.

    Raises:
        UserError: when a stage finds its configuration wrong while loading, or the cluster is too small.
    """
    if config.executor.kind == "inline":
        inline = InlinePools(stages.all(), on_batch, on_fault)
        inline.start()
        yield inline
    else:
        specs = stages.pool_specs(config.executor, batches)
        async with RayPools(specs, config.executor, on_batch, on_fault, say) as pools:
            yield pools


@asynccontextmanager
async def working(
    run: RunDirectory, config: RunConfig, stages: StageSet, progress: RunProgress
) -> AsyncIterator[Pools]:
    """Workers, and what belongs around them: progress shown, timings written, stalls reported, watchers told.

    Raises:
        UserError: as `pools_of` and `watching`.
    """
    with timings_log(run.storage) as timings, progress.shown(), watching(run, config, progress) as watchers:

        def on_batch(report: BatchReport) -> None:
            timings.on_batch(report)
            progress.on_batch(report)
            watchers.on_batch(report)

        def on_fault(report: FaultReport) -> None:
            progress.say(report.line())
            watchers.on_fault(report)

        opened = time.time()
        batches = math.ceil(progress.drawn[2] / config.layer_flux.batch_size)
        pools_to_be = pools_of(config, stages, on_batch, on_fault, progress.say, batches)
        async with pools_to_be as pools, progress.watched(config.executor.watchdog_seconds):
            record_phase(run.storage, Phase("starting", opened, time.time(), progress.pending_chunks))
            yield WatchedPools(pools, watchers)
            closing = time.time()
        record_phase(run.storage, Phase("stopping", closing, time.time()))


async def run_bounded(works: Iterable[Callable[[], Coroutine[Any, Any, None]]], at_once: int) -> None:
    """Runs works in order, never more than `at_once` at the same time; the first error ends them all.

    Works are taken from the iterable only when there is room, so that a plan of any length stays where it is.
    """
    remaining: Iterator[Callable[[], Coroutine[Any, Any, None]]] = iter(works)

    async def lane() -> None:
        for work in remaining:
            await work()

    lanes = [asyncio.ensure_future(lane()) for _ in range(at_once)]
    try:
        await asyncio.gather(*lanes)
    finally:
        for each in lanes:
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.gather(*lanes)
