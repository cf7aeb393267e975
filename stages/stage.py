"""What a stage is: a step of a run that works on batches and knows nothing of what drives it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Failed:
    """The place of a result that could not be made. It takes its input's place in the output and is never dropped."""

    sample_id: str
    stage: str
    error: str
    traceback: str
    layer_index: int = -1


class Stage(ABC, Generic[In, Out]):
    """One step of a run.

    Attributes:
        name: as it stands in records, messages and timelines.

    Guarantees: `process` returns one result per input, in order, an output or a `Failed`; it never drops, reorders or
    prints; its outputs depend on its inputs and its settings alone. It may raise when a whole batch breaks: whoever
    drives it then finds the culprit.
    """

    name: str

    def setup(self) -> None:
        """Loads models; called once per worker process, before the first batch."""

    @abstractmethod
    def process(self, batch: Sequence[In]) -> list[Out | Failed]:
        """One result per input, in order."""
