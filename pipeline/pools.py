"""What a chunk's flow sees of an executor: pools of workers that apply stages to items.

A stage's result may stay in the worker that made it. The flow then holds a `Handle` and passes it on; images never
travel through the driver.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol

from layered.errors import FailedWorkError, UserError
from pipeline.halving import FittingBatches
from pipeline.retrying import Fault, fault_of
from stages.stage import Failed, Stage


@dataclass(frozen=True, eq=False)
class Handle:
    """One result of a stage, wherever it lies.

    Attributes:
        value: the result itself, or a reference that only the executor can follow.
        failed: set when the stage could not make it; `value` is meaningless then.
    """

    value: Any
    failed: Failed | None = None


class Pools(Protocol):
    """Workers for all stages of a run.

    Items may be handles, or dataclasses and tuples with handles in their fields; workers see the values. Both methods
    return one result per item, in order; an item that breaks its batch or kills its worker becomes a `Failed`, and its
    neighbours are processed without it.
    """

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        """Applies a stage; the results stay where they were made."""

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        """Applies a stage and brings the results, outputs or `Failed`, to the caller: for small ones."""


@dataclass(frozen=True)
class BatchReport:
    """Who worked on a batch and when: for progress, busy shares and the timeline; never part of any result.

    Attributes:
        worker: pool name and number, such as ``layer_flux-0``.
        started, ended: seconds since the epoch.
        pixels: to be generated, of all items; 0 where a stage generates nothing.
        attempt: 1 unless a fault made the batch be tried again.
        queue_seconds: waited for a free worker.
        peak_gpu_bytes: most memory that the batch held on its worker's GPU; 0 without one.
        cpu_seconds: processor time of its worker meanwhile, of all threads.
        core_wait_seconds: that its thread was ready to compute and others had the cores, where the system tells.
    """

    stage: str
    worker: str
    chunk: int
    items: int
    failed: int
    started: float
    ended: float
    pixels: int = 0
    attempt: int = 1
    queue_seconds: float = 0.0
    peak_gpu_bytes: int = 0
    cpu_seconds: float = 0.0
    core_wait_seconds: float = 0.0

    @property
    def seconds_alone(self) -> float:
        """What it would have taken if nothing else had computed on its machine."""
        return self.ended - self.started - self.core_wait_seconds


class BatchError(Exception):
    """A whole batch could not be done.

    Attributes:
        error: one line.
        trace: of the stage that raised; empty when its process is gone.
        where: which process, and what the executor knows beside; kept out of records, which are the same every time.
    """

    def __init__(self, error: str, trace: str = "", fault: Fault = Fault.RAISED, where: str = "") -> None:
        super().__init__(error, trace, fault, where)  # all of them, so that it can be pickled
        self.error, self.trace, self.fault, self.where = error, trace, fault, where

    def __str__(self) -> str:
        return self.error

    @classmethod
    def from_current_exception(cls, error: Exception) -> BatchError:
        message = str(error) if isinstance(error, (UserError, FailedWorkError)) else f"{type(error).__name__}: {error}"
        return cls(message, traceback.format_exc(), fault_of(error))

    def for_the_run(self) -> Exception:
        """What ends a run whose stage cannot even be set up: the user's mistake, or the whole traceback."""
        match self.fault:
            case Fault.WRONG_INPUT:
                return UserError(self.error)
            case Fault.CANNOT_GO_ON:
                return FailedWorkError(self.error)
        return RuntimeError(self.trace or self.error)


class StageHost:
    """Stages that share one process, each set up once, before its first batch."""

    def __init__(self, stages: Mapping[str, Stage[Any, Any]]) -> None:
        self._stages = dict(stages)
        self._ready: set[str] = set()
        self._fitting = FittingBatches()

    def setup(self) -> None:
        """Sets up all stages now. Raises BatchError."""
        for name in self._stages:
            self._set_up(name)

    def process(self, name: str, items: Sequence[Any]) -> list[Any]:
        """One output or `Failed` per item, in order; items that failed in an earlier stage pass through.

        A batch that does not fit into memory is processed in parts that do; an item that does not fit alone has failed.

        Raises:
            BatchError: when the stage raised, or broke its promise of one result per input.
        """
        self._set_up(name)
        failures = [failure_in(item) for item in items]
        alive = [item for item, failure in zip(items, failures, strict=True) if failure is None]
        # Pictures of one size need about as much memory each.
        kind = name, getattr(alive[0], "size", None) if alive else None
        try:
            results = self._fitting.process(
                kind, functools.partial(self._complete, name), alive, functools.partial(failed_in, name)
            )
        except Exception as error:
            raise BatchError.from_current_exception(error) from error
        remaining = iter(results)
        return [next(remaining) if failure is None else failure for failure in failures]

    def _complete(self, name: str, items: Sequence[Any]) -> list[Any]:
        results = self._stages[name].process(items)
        if len(results) != len(items):
            raise RuntimeError(f"stage {name} returned {len(results)} results for {len(items)} inputs")
        return results

    def _set_up(self, name: str) -> None:
        if name in self._ready:
            return
        try:
            self._stages[name].setup()
        except Exception as error:
            raise BatchError.from_current_exception(error) from error
        self._ready.add(name)


def failed_in(stage: str, item: Any, error: str, trace: str) -> Failed:
    """The `Failed` for an item given up in a stage."""
    draw = getattr(item, "draw", item)
    return Failed(item.sample_id, stage, error, trace, getattr(draw, "layer_index", -1))


def failure_in(item: Any) -> Failed | None:
    """Why an item cannot be processed: it is, or is a tuple with, what an earlier stage failed to make."""
    parts = item if isinstance(item, tuple) else (item,)
    return next((part for part in parts if isinstance(part, Failed)), None)


def handles_in(item: Any) -> list[Handle]:
    """All handles of an item, in the order of its fields."""
    if isinstance(item, Handle):
        return [item]
    if isinstance(item, tuple):
        return [handle for part in item for handle in handles_in(part)]
    if is_dataclass(item) and not isinstance(item, type):
        return [handle for field in fields(item) for handle in handles_in(getattr(item, field.name))]
    return []


def resolved(item: Any, value_of: Callable[[Handle], Any]) -> Any:
    """The item with every handle replaced by its value; a handle of a failure becomes the `Failed`."""
    if isinstance(item, Handle):
        return item.failed if item.failed is not None else value_of(item)
    if isinstance(item, tuple):
        return tuple(resolved(part, value_of) for part in item)
    if is_dataclass(item) and not isinstance(item, type) and handles_in(item):
        changes = {field.name: resolved(getattr(item, field.name), value_of) for field in fields(item)}
        return replace(item, **changes)
    return item
