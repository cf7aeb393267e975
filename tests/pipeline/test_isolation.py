import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layered import UserError
from layered.errors import FailedWorkError
from pipeline.isolation import process_isolating
from pipeline.pools import BatchError
from pipeline.retrying import Action, Fault, FaultReport, RetryPolicy


def died() -> BatchError:
    return BatchError("gone", fault=Fault.WORKER_DIED)


def isolate(items: Sequence[int], bad: set[int], error: Exception, max_attempts: int = 3) -> tuple[list, list]:
    """Results, and the batches that were tried."""
    calls: list[list[int]] = []

    async def call(part: Sequence[int], attempt: int) -> list[str]:
        calls.append(list(part))
        if bad & set(part):
            raise error
        return [f"done {item}" for item in part]

    results = asyncio.run(process_isolating(call, items, lambda item, *_: f"failed {item}", RetryPolicy(max_attempts)))
    return results, calls


@given(st.integers(1, 24).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))), st.booleans())
def test_exactly_the_bad_items_fail_and_every_result_keeps_its_place(case: tuple[int, set[int]], dies: bool) -> None:
    count, bad = case
    error = died() if dies else BatchError("no", "trace")
    results, calls = isolate(range(count), bad, error)
    assert results == [f"{'failed' if item in bad else 'done'} {item}" for item in range(count)]
    if not bad:
        assert calls == [list(range(count))]


def test_a_worker_that_dies_once_costs_one_more_try_of_the_same_batch() -> None:
    batches: list[list[int]] = []

    async def call(part: Sequence[int], attempt: int) -> list[int]:
        batches.append(list(part))
        if len(batches) == 1:
            raise died()
        return list(part)

    assert asyncio.run(process_isolating(call, [1, 2, 3], lambda item, *_: -item, RetryPolicy(3))) == [1, 2, 3]
    assert batches == [[1, 2, 3], [1, 2, 3]]


def test_one_poison_among_sixteen_is_found_in_few_deaths() -> None:
    _, calls = isolate(range(16), {5}, died(), max_attempts=3)
    deaths = [call for call in calls if 5 in call]
    assert len(deaths) == 2 + 3 + 2  # the batch, its halves of 8, 4 and 2, and alone


def test_a_users_mistake_is_not_blamed_on_samples() -> None:
    with pytest.raises(UserError, match="no model"):
        isolate([1, 2], {1}, BatchError("no model", "", Fault.WRONG_INPUT))


@given(st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))), st.integers(1, 6))
def test_one_poison_costs_at_most_as_many_deaths_as_are_promised(case: tuple[int, int], max_attempts: int) -> None:
    count, poison = case
    results, calls = isolate(range(count), {poison}, died(), max_attempts)
    assert results.count(f"failed {poison}") == 1
    assert sum(poison in call for call in calls) <= math.ceil(math.log2(count)) + max_attempts


def test_storage_that_answers_late_fails_no_sample() -> None:
    tries: list[int] = []
    seen: list[FaultReport] = []

    async def call(part: Sequence[int], attempt: int) -> list[int]:
        tries.append(attempt)
        if attempt == 1:
            raise BatchError("no answer", fault=Fault.STORAGE)
        return list(part)

    policy = RetryPolicy(1)
    assert asyncio.run(process_isolating(call, [1, 2], lambda item, *_: -item, policy, seen.append)) == [1, 2]
    assert tries == [1, 2]
    assert [(report.fault, report.action) for report in seen] == [(Fault.STORAGE, Action.RETRY)]


def test_a_full_disk_ends_the_run_with_the_way_out_in_one_line() -> None:
    with pytest.raises(FailedWorkError, match=r"No space left.*make room, then the same command goes on") as raised:
        isolate([1, 2], {1}, BatchError("OSError: [Errno 28] No space left on device", fault=Fault.DISK_FULL))
    assert "\n" not in str(raised.value)
