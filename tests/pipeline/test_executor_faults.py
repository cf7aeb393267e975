"""What the Ray executor does when something goes wrong, and how its pools follow the work."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.executor import RayPools
from pipeline.executor_config import ExecutorConfig
from pipeline.pool_spec import PoolSpec
from pipeline.pools import BatchReport, Pools
from pipeline.retrying import Action, Fault, FaultReport
from stages.stage import Stage
from tests.pipeline.fake_stages import Item, Tagging
from tests.pipeline.faulty_stages import (
    FlakySetup,
    Hanging,
    Large,
    Measuring,
    SickGpu,
    SlowToLoad,
    WhichGpu,
)

ITEMS = [Item(f"s{index}", value=index) for index in range(4)]


class Told:
    """What the executor told."""

    def __init__(self) -> None:
        self.batches: list[BatchReport] = []
        self.faults: list[FaultReport] = []
        self.lines: list[str] = []


def with_ray(
    work: Callable[[Pools], Awaitable[Any]], *stages: Stage[Any, Any], workers: int = 1, gpus: float = 0, **config: Any
) -> tuple[Any, Told]:
    told = Told()

    async def run() -> Any:
        spec = PoolSpec("pool", {stage.name: stage for stage in stages}, workers, cpus=0.5, gpus=gpus)
        settings = ExecutorConfig(**config)
        async with RayPools([spec], settings, told.batches.append, told.faults.append, told.lines.append) as pools:
            return await work(pools)

    return asyncio.run(run()), told


def test_a_worker_that_hangs_is_killed_and_its_batch_done_by_the_next(ray_session: Any, tmp_path: Path) -> None:
    async def work(pools: Pools) -> Any:
        return await asyncio.gather(*(pools.fetch("hanging", [item], chunk) for chunk, item in enumerate(ITEMS)))

    # A machine that is busy enough may let others seem to hang; they are tried again too.
    results, told = with_ray(work, Hanging(tmp_path), batch_timeout_seconds=3.0, max_attempts=40)
    assert results == [[item] for item in ITEMS]
    assert {(fault.fault, fault.action) for fault in told.faults} == {(Fault.WORKER_HUNG, Action.RETRY)}
    assert "the worker hung and was killed (pool-0 on " in told.faults[0].line()
    assert any("has worked on a batch of hanging for 3 s: it is killed" in line for line in told.lines)
    assert {report.chunk: report.attempt for report in told.batches}[0] >= 2


def test_a_process_whose_gpu_has_failed_is_not_trusted_with_another_batch(ray_session: Any, tmp_path: Path) -> None:
    async def work(pools: Pools) -> Any:
        return await pools.fetch("sick_gpu", ITEMS, 0)

    results, told = with_ray(work, SickGpu(tmp_path))
    assert results == ITEMS
    assert [(fault.fault, fault.items) for fault in told.faults] == [(Fault.WORKER_UNUSABLE, 4)]


def test_a_worker_that_cannot_load_again_is_followed_by_one_that_can(ray_session: Any, tmp_path: Path) -> None:
    async def work(pools: Pools) -> Any:
        return await pools.fetch("flaky_setup", ITEMS, 0)

    results, told = with_ray(work, FlakySetup(tmp_path))
    assert results == ITEMS
    assert [fault.fault for fault in told.faults] == [Fault.WORKER_DIED]
    assert any("the file system is not mounted yet" in line for line in told.lines)


def test_a_stage_that_cannot_be_sent_ends_the_run_instead_of_hanging(ray_session: Any) -> None:
    async def work(pools: Pools) -> None:
        raise AssertionError("must not start")

    stage = Tagging()
    stage.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="serializ"):
        with_ray(work, stage)


def test_results_that_were_on_a_lost_machine_are_made_again(ray_session: Any) -> None:
    ray = ray_session

    @ray.remote(num_cpus=0)
    class Owner:
        def put(self) -> Any:
            return [ray.put(bytes(2**20))]

    async def work(pools: Pools) -> Any:
        first = await pools.keep("tagging", ITEMS, 0)
        second = await pools.keep("other", first, 0)
        owner = Owner.remote()
        (lost,) = await owner.put.remote()
        ray.kill(owner)
        with contextlib.suppress(ray.exceptions.ObjectLostError):
            while await lost:  # until its owner's end is known
                await asyncio.sleep(0.05)
        first[1].value.reference = second[2].value.reference = lost
        return await pools.fetch("tagging", [(second[0], second[2]), (first[1], second[1])], 0)

    results, told = with_ray(work, Tagging(), Tagging("other"))
    first = [("tagging", item) for item in ITEMS]
    second = [("other", item) for item in first]
    assert results == [("tagging", (second[0], second[2])), ("tagging", (first[1], second[1]))]
    assert [fault.fault for fault in told.faults] == [Fault.INPUTS_LOST] * 2
    assert sorted(report.items for report in told.batches)[:1] == [2]


def test_more_results_than_the_object_store_holds_are_spilled_and_come_back(ray_session: Any) -> None:
    items = [Item(f"s{index}", value=index) for index in range(14)]

    async def work(pools: Pools) -> Any:
        handles = await asyncio.gather(*(pools.keep("large", [item], 0) for item in items))
        return [await pools.fetch("measuring", kept, 0) for kept in handles]

    results, told = with_ray(work, Large(24), Measuring())
    assert results == [[(index, index, 24)] for index in range(14)]
    assert not told.faults


def test_work_begins_with_the_first_process_and_later_ones_join(ray_session: Any, tmp_path: Path) -> None:
    async def work(pools: Pools) -> tuple[set[int], set[int]]:
        alone = await asyncio.gather(*(pools.fetch("slow_to_load", [item], 0) for item in ITEMS))
        (tmp_path / "go").touch()
        for _ in range(10_000):
            together = await asyncio.gather(*(pools.fetch("slow_to_load", [item], 0) for item in ITEMS))
            if len({pid for (pid,) in together}) == 2:
                break
        return {pid for (pid,) in alone}, {pid for (pid,) in together}

    (alone, together), _ = with_ray(work, SlowToLoad(tmp_path), workers=2)
    assert len(alone) == 1
    assert len(together) == 2


def test_more_processes_are_asked_for_as_the_queue_grows(ray_session: Any, tmp_path: Path) -> None:
    (tmp_path / "go").touch()

    async def run() -> tuple[set[int], set[int]]:
        stage = SlowToLoad(tmp_path)
        spec = PoolSpec("pool", {stage.name: stage}, workers=2, cpus=0.5, at_first=1)
        async with RayPools([spec], ExecutorConfig(), lambda report: None) as pools:
            alone = {pid for _ in range(3) for pid in await pools.fetch(stage.name, ITEMS[:1], 0)}
            together: set[int] = set()
            for _ in range(10_000):
                for (pid,) in await asyncio.gather(*(pools.fetch(stage.name, [item], 0) for item in ITEMS)):
                    together.add(pid)
                if len(together) == 2:
                    break
        return alone, together

    alone, together = asyncio.run(run())
    assert len(alone) == 1
    assert len(together) == 2


def test_a_process_with_nothing_to_do_is_given_back_and_comes_again_with_the_work(
    ray_session: Any, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()

    async def work(pools: Pools) -> tuple[int, int, bool]:
        ((first,),) = await asyncio.gather(pools.fetch("slow_to_load", ITEMS[:1], 0))
        for _ in range(10_000):
            if not Path(f"/proc/{first}").exists():
                break
            await asyncio.sleep(0.05)
        gone = not Path(f"/proc/{first}").exists()
        ((second,),) = await asyncio.gather(pools.fetch("slow_to_load", ITEMS[:1], 0))
        return first, second, gone

    (first, second, gone), told = with_ray(work, SlowToLoad(tmp_path), idle_seconds=0.3)
    assert gone
    assert first != second
    assert not told.faults


@pytest.mark.parametrize(("gpus", "per_gpu"), [(0.5, 2), (1, 1)])
def test_processes_share_a_gpu_only_where_they_ask_for_a_part(ray_session: Any, gpus: float, per_gpu: int) -> None:
    async def work(pools: Pools) -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = []
        for _ in range(10_000):
            answers = await asyncio.gather(*(pools.fetch("which_gpu", [item], 0) for item in ITEMS))
            seen = [one for (one,) in answers]
            if len({pid for pid, _ in seen}) == 2:
                break
        return seen

    seen, _ = with_ray(work, WhichGpu(), workers=2, gpus=gpus)
    devices = dict(seen)
    assert len(devices) == 2
    assert all(device.isdecimal() for device in devices.values())
    assert max(list(devices.values()).count(device) for device in devices.values()) == per_gpu
