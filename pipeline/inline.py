"""The executor without Ray: all stages in this process, one batch after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.isolation import failed_in, process_isolating
from pipeline.pools import BatchReport, Handle, StageError, StageHost, generated_pixels, resolved
from stages.stage import Failed, Stage


class InlinePools:
    """`Pools` of one process. A stage that kills its process kills the run: only Ray can survive that."""

    def __init__(self, stages: Mapping[str, Stage[Any, Any]], on_batch: Callable[[BatchReport], None]) -> None:
        self._host = StageHost(stages)
        self._on_batch = on_batch

    def start(self) -> None:
        """Loads all models. Raises UserError or RuntimeError when a stage cannot be set up."""
        try:
            self._host.setup()
        except StageError as error:
            raise error.for_the_run() from error

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        """See `Pools.keep`."""
        results = await self.fetch(stage, items, chunk)
        return [Handle(None, result) if isinstance(result, Failed) else Handle(result) for result in results]

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        """See `Pools.fetch`."""

        async def call(part: Sequence[Any]) -> list[Any]:
            started = time.time()
            results = self._host.process(stage, part)
            failed = sum(isinstance(result, Failed) for result in results)
            ended, pixels = time.time(), generated_pixels(part)
            self._on_batch(BatchReport(stage, "inline-0", chunk, len(part), failed, started, ended, pixels))
            return results

        values = [resolved(item, lambda handle: handle.value) for item in items]
        return await process_isolating(
            call, values, lambda item, error, trace: failed_in(stage, item, error, trace), max_attempts=1
        )
