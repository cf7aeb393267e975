"""One process of a pool of Ray actors: follows references, works on batches, answers with small outcomes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.batch_meter import BatchMeter
from pipeline.pools import BatchError, BatchReport, StageHost, handles_in, resolved
from stages.stage import Failed, Stage


@dataclass(frozen=True)
class Started:
    """A process that has loaded its models, or could not.

    Attributes:
        error: what a stage raised; returned, because not every exception survives the journey.
    """

    host: str
    pid: int
    error: BatchError | None = None


@dataclass(frozen=True)
class Outcome:
    """What comes back beside the values.

    Attributes:
        failures: by item.
        error: of the whole batch; there are no values then.
        lost: inputs that are gone, by their place among all handles of the batch; there are no values then.
    """

    report: BatchReport
    failures: tuple[Failed | None, ...] = ()
    error: BatchError | None = None
    lost: tuple[int, ...] = ()


class RayWorker:
    """The actor: a `StageHost` that follows references."""

    def __init__(self, name: str, stages: Mapping[str, Stage[Any, Any]]) -> None:
        self._name = name
        self._host = StageHost(stages)

    def setup(self) -> Started:
        """Loads all models."""
        error = None
        try:
            self._host.setup()
        except BatchError as raised:
            error = raised
        return Started(socket.gethostname(), os.getpid(), error)

    def process(self, stage: str, chunk: int, items: Sequence[Any]) -> list[Any]:
        """The outcome, then one value per item (None where it failed)."""
        import ray

        meter = BatchMeter(stage, self._name, chunk, items)
        nothing = [None] * len(items)
        references = [handle.value for item in items for handle in handles_in(item)]
        try:
            values = iter(ray.get(references))
        except ray.exceptions.ObjectLostError:
            return [Outcome(meter.report(len(items)), lost=_lost(references)), *nothing]
        try:
            results = self._host.process(stage, [resolved(item, lambda _: next(values)) for item in items])
        except BatchError as error:
            return [Outcome(meter.report(len(items)), error=error), *nothing]
        failures = tuple(result if isinstance(result, Failed) else None for result in results)
        kept = [None if isinstance(result, Failed) else result for result in results]
        return [Outcome(meter.report(sum(failure is not None for failure in failures)), failures), *kept]


def _lost(references: Sequence[Any]) -> tuple[int, ...]:
    """Which references lead nowhere."""
    import ray

    lost = []
    for place, reference in enumerate(references):
        try:
            ray.get(reference)
        except ray.exceptions.ObjectLostError:
            lost.append(place)
    return tuple(lost)
