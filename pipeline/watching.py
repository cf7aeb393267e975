"""What can be watched of a run at work, and those who watch: metrics, logs, spans, the live file.

Watchers are told what happens and can change nothing; one that breaks is left out, and the run goes on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ledger.run_directory import RunDirectory
from pipeline.committing import Committed
from pipeline.config import RunConfig
from pipeline.live import LiveFile
from pipeline.logs import LogWatcher, open_log
from pipeline.metrics import MetricsWatcher, metrics_backend
from pipeline.pools import BatchReport, Handle, Pools
from pipeline.progress import RunProgress
from pipeline.retrying import FaultReport
from pipeline.tracing import TraceWatcher, open_tracer
from stages.layer_flux import resolve_defaults

_logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is told what happens in a run."""

    def on_asked(self, stage: str, items: int) -> None:
        """So many items are handed to a stage; negative when they have come back."""

    def on_batch(self, report: BatchReport) -> None:
        """A batch was worked on."""

    def on_fault(self, report: FaultReport) -> None:
        """A batch could not be worked on; it is told what is done about it."""

    def on_chunk(self, committed: Committed) -> None:
        """A chunk, or a retry of one, is there for good."""


class Watchers:
    """Several watchers as one."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = list(watchers)

    def on_asked(self, stage: str, items: int) -> None:
        self._tell(lambda watcher: watcher.on_asked(stage, items))

    def on_batch(self, report: BatchReport) -> None:
        if report.items:
            self._tell(lambda watcher: watcher.on_batch(report))

    def on_fault(self, report: FaultReport) -> None:
        self._tell(lambda watcher: watcher.on_fault(report))

    def on_chunk(self, committed: Committed) -> None:
        self._tell(lambda watcher: watcher.on_chunk(committed))

    def _tell(self, what: Callable[[Watcher], None]) -> None:
        for watcher in list(self._watchers):
            try:
                what(watcher)
            except Exception:
                self._watchers.remove(watcher)
                _logger.exception("%s broke and is left out; the run goes on", type(watcher).__name__)


class WatchedPools:
    """Pools that tell watchers what they are asked for, and what is committed."""

    def __init__(self, pools: Pools, watchers: Watchers) -> None:
        self._pools, self._watchers = pools, watchers

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        """See `Pools.keep`."""
        with self._asking(stage, len(items)):
            return await self._pools.keep(stage, items, chunk)

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        """See `Pools.fetch`."""
        with self._asking(stage, len(items)):
            results = await self._pools.fetch(stage, items, chunk)
        for result in results:
            if isinstance(result, Committed):
                self._watchers.on_chunk(result)
        return results

    @contextmanager
    def _asking(self, stage: str, items: int) -> Iterator[None]:
        self._watchers.on_asked(stage, items)
        try:
            yield
        finally:
            self._watchers.on_asked(stage, -items)


@contextmanager
def watching(run: RunDirectory, config: RunConfig, progress: RunProgress) -> Iterator[Watchers]:
    """All that the configuration asks for, while the block lasts.

    Raises:
        UserError: when a port is taken, a file cannot be written, or a package is missing.
    """
    wanted = config.observability
    name = run.place.rstrip("/").rpartition("/")[2]
    with contextlib.ExitStack() as stack:
        watchers: list[Watcher] = [stack.enter_context(LiveFile(run.storage, progress, wanted.live_seconds))]
        if backend := stack.enter_context(metrics_backend(wanted, on_ray=config.executor.kind == "ray")):
            places = resolve_defaults(config.layer_flux).batch_size
            watchers.append(MetricsWatcher(backend, name, places))
        if logger := stack.enter_context(open_log(wanted)):
            watchers.append(LogWatcher(logger, name))
        if tracer := stack.enter_context(open_tracer(wanted)):
            watchers.append(stack.enter_context(TraceWatcher(tracer, name)))
        yield Watchers(watchers)
