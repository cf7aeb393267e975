"""A batch that does not fit into memory is halved until it does; how much fits is remembered."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from pipeline.gpu_memory import free_memory, is_out_of_memory
from stages.stage import Failed


class FittingBatches:
    """What one process has learned about its memory.

    Guarantees: results are those of the parts, in order, one per item; keys, seeds and order do not change, only the
    shape of a batch, which a drawn layer records.
    """

    def __init__(self) -> None:
        self._most: dict[Hashable, int] = {}

    def process(
        self,
        kind: Hashable,
        process: Callable[[Sequence[Any]], list[Any]],
        items: Sequence[Any],
        failed: Callable[[Any, str, str], Failed],
    ) -> list[Any]:
        """Processes items in as large parts as fit. An item that does not fit alone becomes a `Failed`.

        Args:
            kind: items of one kind need about as much memory each.
            failed: (item, error, traceback) → what takes its place.

        Raises:
            whatever `process` raises for other reasons than memory.
        """
        former = self._most.get(kind)
        most = former or len(items)
        results: list[Any] = []
        some_too_large = False
        while len(results) < len(items):
            part = items[len(results) : len(results) + most]
            trouble = _tried(process, part, results)
            if trouble is None:
                continue
            free_memory()  # outside of the handler, whose exception holds every tensor of the attempt
            if len(part) > 1:
                most = len(part) // 2
            else:
                results.append(failed(part[0], *trouble))
                some_too_large = True
        # One item that is too large alone says nothing about those of other batches.
        if not some_too_large and most < len(items):
            self._most[kind] = most
        return results


def _tried(
    process: Callable[[Sequence[Any]], list[Any]], part: Sequence[Any], results: list[Any]
) -> tuple[str, str] | None:
    """Appends the results of a part; or tells error and traceback when memory did not suffice."""
    try:
        outputs = process(part)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        return f"out of memory with this item alone: {first_line}", traceback.format_exc()
    results += outputs
    return None
