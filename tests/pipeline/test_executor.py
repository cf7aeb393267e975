"""The Ray executor and the inline one, with stages that need no model."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from layered import UserError
from pipeline.executor import RayPools
from pipeline.executor_config import ExecutorConfig
from pipeline.inline import InlinePools
from pipeline.pool_spec import PoolSpec
from pipeline.pools import BatchReport, Pools
from stages.stage import Failed, Stage
from tests.pipeline.fake_stages import Deadly, HalfFailing, Item, Poisoned, Refusing, Slow, Tagging

Work = Any
ITEMS = [Item(f"s{index}") for index in range(6)]


def with_ray(work: Work, *stages: Stage[Any, Any], workers: int = 1, reports: list[BatchReport] | None = None) -> Any:
    async def run() -> Any:
        spec = PoolSpec("pool", {stage.name: stage for stage in stages}, workers, cpus=0.5)
        seen = reports if reports is not None else []
        async with RayPools([spec], ExecutorConfig(), seen.append) as pools:
            return await work(pools)

    return asyncio.run(run())


def inline(work: Work, *stages: Stage[Any, Any]) -> Any:
    pools = InlinePools({stage.name: stage for stage in stages}, lambda report: None)
    pools.start()
    return asyncio.run(work(pools))


async def two_steps(pools: Pools) -> list[Any]:
    handles = await pools.keep("half_failing", ITEMS, 0)
    pairs = [(handle, handles[0]) for handle in handles]
    return await pools.fetch("tagging", pairs, 0)


def test_results_stay_in_order_and_failures_in_their_place_with_ray_and_inline(ray_session: Any) -> None:
    ray_results = with_ray(two_steps, HalfFailing(), Tagging())
    assert ray_results == inline(two_steps, HalfFailing(), Tagging())
    assert [isinstance(result, Failed) for result in ray_results] == [False, True] * 3
    assert ray_results[2] == ("tagging", (ITEMS[2], ITEMS[0]))


@pytest.mark.parametrize("execute", [with_ray, inline])
def test_a_sample_that_raises_is_quarantined_and_its_neighbours_survive(execute: Any, ray_session: Any) -> None:
    async def work(pools: Pools) -> list[Any]:
        return await pools.fetch("poisoned", ITEMS, 0)

    results = execute(work, Poisoned("s3"))
    assert results[:3] + results[4:] == ITEMS[:3] + ITEMS[4:]
    assert isinstance(results[3], Failed)
    assert results[3].sample_id == "s3"
    assert "cannot digest s3" in results[3].error
    assert "Traceback" in results[3].traceback


def test_a_sample_that_kills_its_worker_is_quarantined(ray_session: Any, tmp_path: Path) -> None:
    async def work(pools: Pools) -> Sequence[Any]:
        batches = ITEMS[:3], ITEMS[3:]
        return await asyncio.gather(*(pools.fetch("deadly", batch, chunk) for chunk, batch in enumerate(batches)))

    first, second = with_ray(work, Deadly(tmp_path, "s1"))
    assert [isinstance(result, Failed) for result in first] == [False, True, False]
    assert "the worker died" in first[1].error
    assert second == ITEMS[3:]


def test_a_worker_killed_once_is_replaced_and_the_same_batch_is_done_again(ray_session: Any, tmp_path: Path) -> None:
    reports: list[BatchReport] = []

    async def work(pools: Pools) -> list[Any]:
        return await pools.fetch("deadly", ITEMS, 0)

    assert with_ray(work, Deadly(tmp_path, "s2", only_first_try=True), reports=reports) == ITEMS
    assert [report.items for report in reports] == [len(ITEMS)]


def test_two_workers_share_the_work(ray_session: Any) -> None:
    reports: list[BatchReport] = []

    async def work(pools: Pools) -> None:
        await asyncio.gather(*(pools.keep("slow", [item], 0) for item in ITEMS))

    with_ray(work, Slow(0.2), workers=2, reports=reports)
    assert {report.worker for report in reports} == {"pool-0", "pool-1"}


def test_a_wrong_configuration_found_while_loading_ends_the_run(ray_session: Any) -> None:
    async def work(pools: Pools) -> None:
        raise AssertionError("must not start")

    for execute in (with_ray, inline):
        with pytest.raises(UserError, match="there is no model at /nowhere"):
            execute(work, Refusing())
