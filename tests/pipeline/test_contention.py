"""Batches that share the cores of one machine, played forward."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contention import OwnCores, SharedCores, pace, shared_cores
from pipeline.executor_config import ExecutorConfig


def ends(pieces: Sequence[tuple[float, float]], cores: int) -> list[float]:
    """When pieces of work, as (seconds alone, demand) and all started at once, are done."""
    clock: SharedCores[int] = SharedCores(cores)
    for number, (seconds, demand) in enumerate(pieces):
        clock.start(seconds, demand, number)
    ended = [0.0] * len(pieces)
    while (done := clock.next()) is not None:
        ended[done] = clock.now
    return ended


def test_three_that_compute_share_two_cores() -> None:
    assert ends([(2.0, 1.0)] * 3, 2) == pytest.approx([3.0] * 3)
    assert pace(1.0, 3.0, 2) == pytest.approx(2 / 3)


def test_who_only_waits_neither_slows_nor_is_slowed() -> None:
    assert ends([(2.0, 0.0)] * 30 + [(1.0, 1.0)] * 2, 2) == pytest.approx([2.0] * 30 + [1.0] * 2)


def test_a_core_that_becomes_free_is_used() -> None:
    # All three until 1.5, then two cores for two.
    assert ends([(1.0, 1.0), (4.0, 1.0), (4.0, 1.0)], 2) == pytest.approx([1.5, 4.5, 4.5])


def test_with_cores_of_its_own_each_takes_its_time() -> None:
    clock: OwnCores[str] = OwnCores()
    clock.start(2.0, 1.0, "long")
    clock.start(1.0, 1.0, "short")
    assert (clock.next(), clock.now) == ("short", 1.0)
    clock.start(0.5, 1.0, "later")
    assert (clock.next(), clock.now) == ("later", 1.5)
    assert (clock.next(), clock.now) == ("long", 2.0)
    assert clock.next() is None


@given(st.lists(st.floats(0.05, 5.0), min_size=1, max_size=9), st.integers(1, 4))
def test_no_core_idles_and_none_does_two_things_at_once(seconds: list[float], cores: int) -> None:
    ended = ends([(each, 1.0) for each in seconds], cores)
    assert max(ended) >= max(max(seconds), sum(seconds) / cores) * (1 - 1e-9)
    assert max(ended) <= (sum(seconds) / cores + max(seconds)) * (1 + 1e-9)
    order = sorted(range(len(seconds)), key=seconds.__getitem__)
    assert [ended[each] for each in order] == pytest.approx(sorted(ended))


def test_cores_are_shared_on_one_machine_with_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert shared_cores(ExecutorConfig(workers=4)) == 4
    assert shared_cores(ExecutorConfig(workers=3)) is None
    assert shared_cores(ExecutorConfig(workers=8, ray_address="auto")) is None
    assert shared_cores(ExecutorConfig(workers=8, kind="inline")) is None
