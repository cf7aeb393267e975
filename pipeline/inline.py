"""The executor without Ray: all stages in this process, one batch after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.batch_meter import BatchMeter
from pipeline.isolation import process_isolating
from pipeline.pools import BatchError, BatchReport, Handle, StageHost, failed_in, resolved
from pipeline.retrying import FaultReport, RetryPolicy
from stages.stage import Failed, Stage


class InlinePools:
    """`Pools` of one process. A stage that kills its process kills the run: only Ray can survive that.

    Args:
        on_batch, on_fault: are told of each batch that is done, and of each fault.
    """

    def __init__(
        self,
        stages: Mapping[str, Stage[Any, Any]],
        on_batch: Callable[[BatchReport], None],
        on_fault: Callable[[FaultReport], None] = lambda report: None,
    ) -> None:
        self._host = StageHost(stages)
        self._on_batch, self._on_fault = on_batch, on_fault

    def start(self) -> None:
        """Loads all models. Raises UserError or RuntimeError when a stage cannot be set up."""
        try:
            self._host.setup()
        except BatchError as error:
            raise error.for_the_run() from error

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        """See `Pools.keep`."""
        results = await self.fetch(stage, items, chunk)
        return [Handle(None, result) if isinstance(result, Failed) else Handle(result) for result in results]

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        """See `Pools.fetch`."""

        async def call(part: Sequence[Any], attempt: int) -> list[Any]:
            meter = BatchMeter(stage, "inline-0", chunk, part, attempt)
            results = self._host.process(stage, part)
            self._on_batch(meter.report(sum(isinstance(result, Failed) for result in results)))
            return results

        values = [resolved(item, lambda handle: handle.value) for item in items]
        failed = partial(failed_in, stage)
        return await process_isolating(call, values, failed, RetryPolicy(1), self._on_fault, stage, chunk)
