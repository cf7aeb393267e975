"""What a filter is: layered images in, named scores out. Filters flag; they never delete."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from layered.arrays import UInt8Array
from layered.image import LayeredImage
from layered.scores import Score
from layered.sidecar import Sidecar


class ScoreConfig(BaseModel):
    """One score's part of the `filters` section.

    Attributes:
        enabled: whether the score is computed.
        threshold: a sample with a score below it is flagged; null flags nothing, so that the score is only recorded, or
            counts in `combined` alone.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    enabled: bool = True
    threshold: float | None


@dataclass(frozen=True, eq=False)
class FilterInput:
    """A finished sample.

    Attributes:
        raws: each generated layer's RGB before matting, by layer index, where it was kept: some faults of a matte can
            only be seen there.
    """

    sample_id: str
    image: LayeredImage
    sidecar: Sidecar
    raws: Mapping[int, UInt8Array] = field(default_factory=dict)


@dataclass(frozen=True)
class FilterResult:
    """A sample's scores, and by name what later decisions need of it as bytes (an embedding)."""

    scores: tuple[Score, ...]
    features: Mapping[str, bytes] = field(default_factory=dict)


class Filter(ABC):
    """Gives samples scores.

    Guarantees: a sample's scores depend on that sample and the filter's settings alone, not on its neighbours.
    """

    def setup(self) -> None:  # noqa: B027
        """Loads models; called once per worker process, before the first sample."""

    @abstractmethod
    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        """Each sample's result, in order."""
