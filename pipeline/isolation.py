"""One bad item must not take its batch with it: trying again, and finding the culprit by halving."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from layered.errors import FailedWorkError, UserError
from pipeline.pools import BatchError
from pipeline.retrying import Action, Fault, FaultReport, RetryPolicy, kind_of

Result = TypeVar("Result")


async def process_isolating(
    call: Callable[[Sequence[Any], int], Awaitable[list[Result]]],
    items: Sequence[Any],
    failed: Callable[[Any, str, str], Result],
    policy: RetryPolicy,
    on_fault: Callable[[FaultReport], None] = lambda report: None,
    stage: str = "",
    chunk: int = -1,
) -> list[Result]:
    """Calls a worker on a batch; when that breaks, does what the policy says until every item is done or given up.

    Args:
        call: (items, attempt) processes items; raises BatchError. Attempts count from 1, and on into the halves.
        failed: (item, error, traceback) → the result that takes the item's place.
        on_fault: is told of each fault.
        stage, chunk: for reports and messages.

    Raises:
        UserError: when the stage says that the input of the run, not of one item, is wrong.
        FailedWorkError: when the run cannot go on, with the reason.
    """

    async def process(part: Sequence[Any], before: int = 0) -> list[Result]:
        met: Counter[str] = Counter()
        while True:
            attempt = before + met.total() + 1
            try:
                return await call(part, attempt)
            except BatchError as raised:
                error = raised
            kind = kind_of(error.fault)
            met[kind] += 1
            decision = policy.after(error.fault, met[kind], len(part), halved=before > 0)
            told = f"{error.error} ({error.where})" if error.where else error.error
            on_fault(FaultReport(error.fault, stage, chunk, len(part), attempt, told, decision.action))
            match decision.action:
                case Action.RETRY:
                    await asyncio.sleep(decision.wait_seconds)
                case Action.SPLIT:
                    middle = len(part) // 2
                    return [
                        *await process(part[:middle], attempt),
                        *await process(part[middle:], attempt),
                    ]
                case Action.GIVE_UP:
                    return [failed(part[0], error.error, error.trace or error.error)]
                case Action.END:
                    raise _end_of_run(error, stage)

    return await process(items)


def _end_of_run(error: BatchError, stage: str) -> Exception:
    match error.fault:
        case Fault.WRONG_INPUT:
            return UserError(error.error)
        case Fault.CANNOT_GO_ON:
            return FailedWorkError(error.error)
        case Fault.DISK_FULL:
            return FailedWorkError(f"{stage}: {error.error}: make room, then the same command goes on from here")
        case Fault.STORE_FULL:
            return FailedWorkError(
                f"{stage}: {error.error}: raise executor.object_store_mb, lower executor.chunks_in_flight, or make "
                "room in Ray's temporary folder; the same command goes on from here"
            )
        case _:
            return FailedWorkError(f"{stage}: {error.error}: the same command goes on from here")
