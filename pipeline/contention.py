"""Processes that share the cores of one machine: how long batches take side by side, by what each would take alone.

A batch keeps some cores busy, its demand: about one where it computes, none where it waits for a GPU or for storage.
While the demands of the batches at work add up to more than there are cores, what computes slows down by as much, what
waits does not. On demos and laptops that is the rule: two generators and what comes after them share two cores.
"""

from __future__ import annotations

import heapq
import itertools
import os
from typing import Generic, Protocol, TypeVar

from pipeline.executor_config import ExecutorConfig

Work = TypeVar("Work")


def shared_cores(config: ExecutorConfig) -> int | None:
    """Cores that the processes of a run share; None where each has its own: on a cluster, or where there are enough."""
    cores = os.cpu_count() or 1
    own = config.kind == "inline" or config.ray_address is not None or config.workers + config.light_workers <= cores
    return None if own else cores


def pace(demand: float, demands: float, cores: int) -> float:
    """How fast a batch goes on beside others, in 0…1 of its pace alone; `demands` sums up all, its own too."""
    return 1.0 - min(demand, 1.0) * (1.0 - min(1.0, cores / demands)) if demands else 1.0


class Clock(Protocol[Work]):
    """Tells when pieces of work, started side by side, are done."""

    now: float

    def start(self, seconds: float, demand: float, work: Work) -> None:
        """Starts what alone would take so long."""

    def next(self) -> Work | None:
        """Goes on to the moment when the next piece is done; None when none is left."""


def clock_of(cores: int | None) -> Clock[Work]:
    """A clock for processes that share so many cores, or have cores of their own."""
    return OwnCores() if cores is None else SharedCores(cores)


class OwnCores(Generic[Work]):
    """Nothing slows anything down."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._running: list[tuple[float, int, Work]] = []

    def start(self, seconds: float, demand: float, work: Work) -> None:
        """See `Clock`."""
        heapq.heappush(self._running, (self.now + seconds, next(self._numbers), work))

    def next(self) -> Work | None:
        """See `Clock`."""
        if not self._running:
            return None
        self.now, _, work = heapq.heappop(self._running)
        return work


class SharedCores(Generic[Work]):
    """What computes shares the cores evenly; made for the few processes of one machine."""

    def __init__(self, cores: int) -> None:
        self.now = 0.0
        self._cores = cores
        self._running: list[tuple[float, float, Work]] = []  # seconds that are left of it alone, demand

    def start(self, seconds: float, demand: float, work: Work) -> None:
        """See `Clock`."""
        self._running.append((seconds, demand, work))

    def next(self) -> Work | None:
        """See `Clock`."""
        if not self._running:
            return None
        demands = sum(demand for _, demand, _ in self._running)
        paces = [pace(demand, demands, self._cores) for _, demand, _ in self._running]
        waits = [left / each for (left, _, _), each in zip(self._running, paces, strict=True)]
        wait = min(waits)
        done = waits.index(wait)
        self.now += wait
        self._running = [
            (left - wait * each, demand, work) for (left, demand, work), each in zip(self._running, paces, strict=True)
        ]
        return self._running.pop(done)[2]
