"""Lost results are made again from what is left, with a store of objects that forgets."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest

from layered.errors import FailedWorkError
from pipeline.lineage import Recipe
from pipeline.pools import Handle, handles_in, resolved
from stages.stage import Failed
from tests.pipeline.fake_stages import Item


class Store:
    """Runs batches named by a stage and remembers which; references are lists, gone when they are empty."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.breaks = False

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        while True:
            handles = [handle for item in items for handle in handles_in(item) if handle.failed is None]
            lost = [(handle.value, handle.value.reference) for handle in handles if not handle.value.reference]
            if not lost:
                break
            await asyncio.gather(*(kept.recipe.remake(kept, reference, self.keep) for kept, reference in lost))
        self.batches.append((stage, len(items)))
        if self.breaks:
            return [Handle(None, Failed("s0", stage, "no longer", "")) for _ in items]
        recipe = Recipe(stage, items, chunk)
        values = [(stage, resolved(item, lambda handle: handle.value.reference[0])) for item in items]
        return [recipe.result(index, [value]) for index, value in enumerate(values)]


def lose(*handles: Handle) -> None:
    for handle in handles:
        handle.value.reference.clear()


ITEMS = [Item("s0"), Item("s1"), Item("s2")]


async def three_steps(store: Store, forget: bool) -> tuple[list[Handle], list[Handle], list[Handle]]:
    drawn = await store.keep("draw", ITEMS, 0)
    matted = await store.keep("matte", drawn, 0)
    kept = [] if forget else drawn
    del drawn
    gc.collect()
    composed = await store.keep("compose", [tuple(matted)], 0)
    store.batches.clear()
    return kept, matted, composed


def test_only_what_is_lost_is_made_again_and_once() -> None:
    async def work() -> None:
        store = Store()
        drawn, matted, composed = await three_steps(store, forget=False)
        before = composed[0].value.reference[0]
        lose(matted[1], *composed)
        again = await asyncio.gather(*(store.keep("score", composed, 0) for _ in range(3)))
        assert store.batches == [("matte", 3), ("compose", 1), *[("score", 1)] * 3]
        assert all(handles[0].value.reference[0] == ("score", before) for handles in again)
        assert drawn

    asyncio.run(work())


def test_inputs_that_nobody_kept_are_made_again_too() -> None:
    async def work() -> None:
        store = Store()
        _, matted, composed = await three_steps(store, forget=True)
        before = [handle.value.reference[0] for handle in matted]
        lose(*matted, *composed)
        await store.keep("score", composed, 0)
        assert store.batches == [("draw", 3), ("matte", 3), ("compose", 1), ("score", 1)]
        assert [handle.value.reference[0] for handle in matted] == before

    asyncio.run(work())


def test_what_cannot_be_made_a_second_time_ends_the_run_with_its_name() -> None:
    async def work() -> None:
        store = Store()
        drawn, matted, _ = await three_steps(store, forget=False)
        lose(matted[0])
        store.breaks = True
        await matted[0].value.recipe.remake(matted[0].value, matted[0].value.reference, store.keep)
        assert drawn

    with pytest.raises(FailedWorkError, match=r"sample s0 was lost with a machine.*no longer"):
        asyncio.run(work())
