"""Results that were on a machine which is gone are made again: each is remembered by the batch that made it.

Only what is lost is made again, from what is left: a matted layer from the drawn one if that is still there, else from
the draw. Batches are the same as before, and so are the bytes.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from layered.errors import FailedWorkError
from pipeline.pools import Handle, handles_in, resolved

Keep = Callable[[str, Sequence[Any], int], Awaitable[list[Handle]]]
"""(stage, items, chunk) → handles of the results; see `Pools.keep`."""


@dataclass(eq=False)
class Kept:
    """Where a result lies: the value of a `Handle`.

    Attributes:
        reference: what the workers follow; replaced when the result is made again.
        recipe, index: how it was made.
    """

    reference: Any
    recipe: Recipe
    index: int


@dataclass(frozen=True, eq=False)
class _Origin:
    """An input of a recipe: remembered, but not kept, so that memory is free once nobody else needs it."""

    kept: weakref.ref[Kept]
    recipe: Recipe
    index: int


class Recipe:
    """A batch that was done: stage and inputs.

    Args:
        items: with handles in them, or without.
    """

    def __init__(self, stage: str, items: Sequence[Any], chunk: int) -> None:
        self.stage, self.chunk = stage, chunk
        self._items = [resolved(item, _remembered) for item in items]
        self._results: list[weakref.ref[Kept] | None] = [None] * len(items)
        self._remaking = asyncio.Lock()

    def result(self, index: int, reference: Any) -> Handle:
        """A handle for one of the results."""
        kept = Kept(reference, self, index)
        self._results[index] = weakref.ref(kept)
        return Handle(kept)

    async def remake(self, kept: Kept, lost: Any, keep: Keep) -> None:
        """Makes the batch again, for all of its results that are still wanted.

        Args:
            lost: the reference that led nowhere; nothing is done when it has been replaced meanwhile.

        Raises:
            FailedWorkError: when what could be made before now fails.
        """
        async with self._remaking:
            if kept.reference is not lost:
                return
            handles = await keep(self.stage, await self._inputs(keep), self.chunk)
            for place, handle in zip(self._results, handles, strict=True):
                wanted = place() if place is not None else None
                if wanted is None:
                    continue
                if handle.failed is not None:
                    raise FailedWorkError(
                        f"sample {handle.failed.sample_id} was lost with a machine and could not be made again in "
                        f"{self.stage}: {handle.failed.error}: the same command goes on from here"
                    )
                wanted.reference = handle.value.reference

    async def _inputs(self, keep: Keep) -> list[Any]:
        """The items, with what is still there, and with the rest made again."""
        origins = [handle.value for item in self._items for handle in handles_in(item)]
        there = {id(origin): origin.kept() for origin in origins}
        again: dict[Recipe, list[Handle]] = {}
        for origin in origins:
            if there[id(origin)] is None and origin.recipe not in again:
                recipe = origin.recipe
                again[recipe] = await keep(recipe.stage, await recipe._inputs(keep), recipe.chunk)

        def handle_of(handle: Handle) -> Handle:
            origin = handle.value
            kept = there[id(origin)]
            return again[origin.recipe][origin.index] if kept is None else Handle(kept)

        return [resolved(item, handle_of) for item in self._items]


def with_references(item: Any) -> Any:
    """The item as a worker gets it: handles of references."""
    return resolved(item, lambda handle: Handle(handle.value.reference))


def _remembered(handle: Handle) -> Handle:
    kept: Kept = handle.value
    return Handle(_Origin(weakref.ref(kept), kept.recipe, kept.index))
