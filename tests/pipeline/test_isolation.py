import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layered import UserError
from pipeline.isolation import process_isolating
from pipeline.pools import StageError, WorkerDiedError


def isolate(items: Sequence[int], bad: set[int], error: Exception, max_attempts: int = 3) -> tuple[list, list]:
    """Results, and the batches that were tried."""
    calls: list[list[int]] = []

    async def call(part: Sequence[int]) -> list[str]:
        calls.append(list(part))
        if bad & set(part):
            raise error
        return [f"done {item}" for item in part]

    results = asyncio.run(process_isolating(call, items, lambda item, *_: f"failed {item}", max_attempts))
    return results, calls


@given(st.integers(1, 24).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))), st.booleans())
def test_exactly_the_bad_items_fail_and_every_result_keeps_its_place(case: tuple[int, set[int]], dies: bool) -> None:
    count, bad = case
    error = WorkerDiedError("gone") if dies else StageError("no", "trace")
    results, calls = isolate(range(count), bad, error)
    assert results == [f"{'failed' if item in bad else 'done'} {item}" for item in range(count)]
    if not bad:
        assert calls == [list(range(count))]


def test_a_worker_that_dies_once_costs_one_more_try_of_the_same_batch() -> None:
    batches: list[list[int]] = []

    async def call(part: Sequence[int]) -> list[int]:
        batches.append(list(part))
        if len(batches) == 1:
            raise WorkerDiedError("gone")
        return list(part)

    assert asyncio.run(process_isolating(call, [1, 2, 3], lambda item, *_: -item, 3)) == [1, 2, 3]
    assert batches == [[1, 2, 3], [1, 2, 3]]


def test_one_poison_among_sixteen_is_found_in_few_deaths() -> None:
    _, calls = isolate(range(16), {5}, WorkerDiedError("gone"), max_attempts=3)
    deaths = [call for call in calls if 5 in call]
    assert len(deaths) == 3 + 3 + 3  # the batch, its halves of 8, 4 and 2, and alone


def test_a_users_mistake_is_not_blamed_on_samples() -> None:
    with pytest.raises(UserError, match="no model"):
        isolate([1, 2], {1}, StageError("no model", "", user_error=True))
