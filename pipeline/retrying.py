"""What is done about a fault: one policy for all of them, and the rules that tell one fault from another."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from enum import StrEnum

from layered.errors import FailedWorkError, UserError


class Fault(StrEnum):
    """What went wrong with a batch."""

    WRONG_INPUT = "wrong input"
    """A stage says that a person's input to the whole run is wrong."""
    CANNOT_GO_ON = "cannot go on"
    """A stage says that the run has to end, its lease lost for instance."""
    RAISED = "raised"
    """A stage raised, and would raise again."""
    WORKER_DIED = "worker died"
    """The process, or the machine it ran on, is gone."""
    WORKER_HUNG = "worker hung"
    """The batch took longer than it may, and its process was killed."""
    WORKER_UNUSABLE = "worker unusable"
    """The GPU failed under the process: nothing that it does from now on can be trusted."""
    INPUTS_LOST = "inputs lost"
    """Results of earlier stages were on a machine that is gone."""
    STORE_FULL = "object store full"
    """Ray has no room for the results, neither in memory nor where it spills."""
    STORAGE = "storage"
    """The run directory's storage does not answer."""
    DISK_FULL = "disk full"
    """There is no room left for the run directory."""


class Action(StrEnum):
    """What is done next with the batch."""

    RETRY = "tried again"
    SPLIT = "halved"
    GIVE_UP = "given up"
    """Its one item becomes a failure of its sample."""
    END = "the run ends"


@dataclass(frozen=True)
class Decision:
    """An action, and how long to wait before it."""

    action: Action
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class FaultReport:
    """One fault and what is done about it: for messages and counters, never part of any result.

    Attributes:
        items: of the batch.
        attempt: which try of its items failed, from 1; tries of the batch they were a part of count.
        error: one line.
    """

    fault: Fault
    stage: str
    chunk: int
    items: int
    attempt: int
    error: str
    action: Action

    def line(self) -> str:
        """For a person."""
        return f"{self.stage} of chunk {self.chunk}: {self.error}; {self.action.value} ({self.items} items)"


KILLING = {Fault.WORKER_DIED, Fault.WORKER_HUNG, Fault.WORKER_UNUSABLE}
"""Faults that cost a process. Any of them may be the batch's doing, or bad luck."""

PATIENCE = {Fault.STORE_FULL: 10, Fault.STORAGE: 5, Fault.INPUTS_LOST: 20}
"""How often a batch is tried when what fails has nothing to do with what is in it."""

LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class RetryPolicy:
    """When a batch is tried again, halved or given up: a function of the fault, with no memory of its own.

    A sample that kills its worker each time is found after at most ``log2(batch) + max_attempts`` deaths, and one more
    when another batch was with the worker at the first. The batch is tried unchanged `max_attempts_of_batch` times, so
    that bad luck changes no batch and hence no byte; then its halves, and theirs, once each; what stands alone
    `max_attempts_alone` times, so that bad luck costs no neighbour.

    Attributes:
        max_attempts: how often something whose process dies is tried; of a batch that is halved, the tries of the whole
            and those of what stands alone share it, with one more.
    """

    max_attempts: int

    @property
    def max_attempts_alone(self) -> int:
        return (self.max_attempts + 1) // 2

    @property
    def max_attempts_of_batch(self) -> int:
        return self.max_attempts + 1 - self.max_attempts_alone

    def after(self, fault: Fault, attempt: int, items: int, halved: bool) -> Decision:
        """What follows a fault.

        Args:
            attempt: how often these items, as this batch, have met faults of this kind (`kind_of`) by now.
            items: how many there are.
            halved: whether they are a part of the batch that the plan made.
        """
        if fault in (Fault.WRONG_INPUT, Fault.CANNOT_GO_ON, Fault.DISK_FULL):
            return Decision(Action.END)
        if fault in PATIENCE:
            if attempt >= PATIENCE[fault]:
                return Decision(Action.END)
            return Decision(Action.RETRY, 0.0 if fault is Fault.INPUTS_LOST else _wait(attempt))
        if fault in KILLING and attempt < self._most_attempts(items, halved):
            return Decision(Action.RETRY)
        return Decision(Action.SPLIT if items > 1 else Action.GIVE_UP)

    def _most_attempts(self, items: int, halved: bool) -> int:
        if not halved:
            return self.max_attempts_of_batch if items > 1 else self.max_attempts
        return 1 if items > 1 else self.max_attempts_alone


def kind_of(fault: Fault) -> str:
    """Faults of one kind are counted together: a slow storage is no sign that a sample is poisoned."""
    return fault.value if fault in PATIENCE else "batch"


def _wait(attempt: int) -> float:
    """Seconds before the next attempt: 1, 2, 4, 8 …"""
    return min(2.0 ** (attempt - 1), LONGEST_WAIT_SECONDS)


FULL = {errno.ENOSPC, errno.EDQUOT}
UNREACHABLE = {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    *(errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EREMOTEIO, errno.ENODEV),
}


def fault_of(error: Exception) -> Fault:
    """Which fault an exception of a stage is."""
    if isinstance(error, UserError):
        return Fault.WRONG_INPUT
    if isinstance(error, FailedWorkError):
        return Fault.CANNOT_GO_ON
    if isinstance(error, OSError):
        if error.errno in FULL:
            return Fault.DISK_FULL
        if error.errno in UNREACHABLE or isinstance(error, (ConnectionError, TimeoutError)):
            return Fault.STORAGE
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.AcceleratorError):
        return Fault.WORKER_UNUSABLE
    return Fault.RAISED


LONGEST_FIRST_BATCH_SECONDS = 3600.0
LEAST_TIME_LIMIT_SECONDS = 600.0
TIMES_THE_LONGEST = 10.0


def batch_time_limit(configured: float | None, longest_seconds: float | None) -> float:
    """Seconds that a batch may take before its process is taken to hang.

    Args:
        configured: `executor.batch_timeout_seconds`; null derives the limit.
        longest_seconds: the longest batch of this stage that has come to an end; None before the first, which may
            have to compile.
    """
    if configured is not None:
        return configured
    if longest_seconds is None:
        return LONGEST_FIRST_BATCH_SECONDS
    return max(LEAST_TIME_LIMIT_SECONDS, TIMES_THE_LONGEST * longest_seconds)
