"""Stages whose items have nothing to do with each other."""

import traceback
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, TypeVar

from stages.stage import Failed, Out, Stage


class Named(Protocol):
    """What belongs to a sample."""

    @property
    def sample_id(self) -> str: ...


Item = TypeVar("Item", bound=Named)


class ItemStage(Stage[Item, Out]):
    """A stage that works item by item: one that raises becomes a `Failed` and leaves its neighbours alone."""

    @abstractmethod
    def process_item(self, item: Item) -> Out:
        """The result for one item. Whatever it raises becomes that item's `Failed`."""

    def layer_index(self, item: Item) -> int:
        """The layer that an item is about, for its `Failed`; -1 for a whole sample."""
        return -1

    def process(self, batch: Sequence[Item]) -> list[Out | Failed]:
        return [self._isolated(item) for item in batch]

    def _isolated(self, item: Item) -> Out | Failed:
        try:
            return self.process_item(item)
        except Exception as error:
            message = str(error) or type(error).__name__
            return Failed(item.sample_id, self.name, message, traceback.format_exc(), self.layer_index(item))
