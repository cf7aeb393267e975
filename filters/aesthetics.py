"""How pleasing is it? A linear head over the CLIP embedding of the whole image, learned from people's ratings.

`models/recipes/train_aesthetics.py` learns one from the ratings in a run, `models/recipes/convert_laion_aesthetics.py`
makes one of LAION's published predictors. The score has the ratings' own scale.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from pydantic import model_validator

from filters.clip import ClipConfig, shared_clip
from filters.filter import Filter, FilterInput, FilterResult, ScoreConfig
from layered.arrays import FloatArray
from layered.errors import UserError
from layered.scores import WHOLE_IMAGE, Score

AESTHETIC: Final = "aesthetic"
HEAD_FORMAT: Final = "layerprism aesthetic head"


class AestheticConfig(ScoreConfig):
    """The `filters.aesthetic` section. Off by default: what pleases is to be learned from the team's own ratings.

    Attributes:
        threshold: in the ratings' scale; null only records the score.
        head: the safetensors file of the head, which belongs to one CLIP.
    """

    enabled: bool = False
    threshold: float | None = None
    head: str = ""

    @model_validator(mode="after")
    def _there_is_a_head(self) -> Self:
        if self.enabled and not self.head:
            raise ValueError(
                "it needs a `head`: learn one by `python -m models.recipes.train_aesthetics RUN`, or convert LAION's"
            )
        return self


@dataclass(frozen=True, eq=False)
class AestheticHead:
    """``rating = weight · embedding + bias`` for unit vectors.

    Attributes:
        weight: ``[dim]``.
        clip: the name of the CLIP that it belongs to, as `filters.clip.model` has it.
        origin: what it was learned from.
    """

    weight: FloatArray
    bias: float
    clip: str
    origin: str = ""

    def rate(self, embedding: FloatArray) -> float:
        """The rating of a picture by its unit vector ``[dim]``."""
        return float(embedding @ self.weight) + self.bias


class Aesthetics(Filter):
    """aesthetic: the head's rating of the whole image."""

    def __init__(self, config: AestheticConfig, clip: ClipConfig) -> None:
        self._config, self._clip = config, clip

    def setup(self) -> None:
        """Loads CLIP and the head. Raises UserError when one is missing, or when they do not belong together."""
        self._head()

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        clip, head = shared_clip(self._clip), self._head()
        return [
            FilterResult(
                (Score(each.sample_id, WHOLE_IMAGE, AESTHETIC, head.rate(clip.embed_part(each, WHOLE_IMAGE))),)
            )
            for each in samples
        ]

    def _head(self) -> AestheticHead:
        head = read_head(Path(self._config.head))
        size = shared_clip(self._clip).embed_text("").size
        if head.clip != self._clip.model or head.weight.size != size:
            raise UserError(
                f"filters.aesthetic.head {self._config.head} belongs to the CLIP {head.clip} of {head.weight.size} "
                f"numbers, filters.clip.model is {self._clip.model} of {size}: give the head or the CLIP that fits"
            )
        return head


def write_head(path: Path, head: AestheticHead) -> None:
    """Writes a head as safetensors."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"weight": head.weight.astype(np.float32), "bias": np.array([head.bias], np.float32)}
    save_file(tensors, path, {"format": HEAD_FORMAT, "clip": head.clip, "origin": head.origin})


@functools.lru_cache(maxsize=4)
def read_head(path: Path) -> AestheticHead:
    """Reads what `write_head` wrote. Raises UserError when the file is missing or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            facts = file.metadata() or {}
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"filters.aesthetic.head {path} cannot be read as a head ({error}): give another file"
        ) from error
    if facts.get("format") != HEAD_FORMAT or weight.ndim != 1 or bias.shape != (1,):
        raise UserError(f"filters.aesthetic.head {path} is no aesthetic head: learn or convert one")
    return AestheticHead(weight, float(bias[0]), facts.get("clip", ""), facts.get("origin", ""))
