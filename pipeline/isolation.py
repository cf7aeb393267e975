"""One bad item must not take its batch with it: finding the culprit by halving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from layered.errors import UserError
from pipeline.pools import StageError, WorkerDiedError
from stages.stage import Failed

Result = TypeVar("Result")


async def process_isolating(
    call: Callable[[Sequence[Any]], Awaitable[list[Result]]],
    items: Sequence[Any],
    failed: Callable[[Any, str, str], Result],
    max_attempts: int,
) -> list[Result]:
    """Calls a worker on a batch; when that breaks, on ever smaller parts, until the culprits stand alone.

    A batch whose worker died is tried again unchanged first, `max_attempts` times in all, so that a passing fault
    (a lost machine, a full memory) changes no batch and hence no byte. A stage that raised would raise again: its batch
    is halved at once. A single item that still fails is given up.

    Args:
        call: processes items; raises StageError or WorkerDiedError.
        failed: (item, error, traceback) → the result that takes the item's place.

    Raises:
        UserError: when the stage says that the input of the run, not of one item, is wrong.
    """

    async def process(part: Sequence[Any], attempts: int) -> list[Result]:
        error: StageError | WorkerDiedError | None = None
        for _ in range(attempts):
            try:
                return await call(part)
            except WorkerDiedError as death:
                error = death
            except StageError as raised:
                error = raised
                break
        assert error is not None
        if isinstance(error, StageError) and error.user_error:
            raise UserError(error.error)
        if len(part) == 1:
            trace = error.trace if isinstance(error, StageError) else str(error)
            return [failed(part[0], str(error), trace)]
        middle = len(part) // 2
        # A part that kills its worker once is split at once; only what stands alone gets all its attempts again.
        halves = [part[:middle], part[middle:]]
        return [result for half in halves for result in await process(half, max_attempts if len(half) == 1 else 1)]

    return await process(items, max_attempts)


def failed_in(stage: str, item: Any, error: str, trace: str) -> Failed:
    """The `Failed` for an item given up in a stage."""
    draw = getattr(item, "draw", item)
    return Failed(item.sample_id, stage, error, trace, getattr(draw, "layer_index", -1))
