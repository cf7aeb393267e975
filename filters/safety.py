"""Must it not be published? Zero-shot prompts with CLIP: a picture should look more like something harmless than like
anything unwanted.

What CLIP can tell depends on the CLIP and on the prompts. The embedded CLIP knows the words of its vocabulary alone, so
the filter is off by default and on in the configurations of large models. It catches what is plain to see and is no
substitute for people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from filters.clip import ClipConfig, ClipEncoder, shared_clip
from filters.filter import Filter, FilterInput, FilterResult, ScoreConfig
from layered.arrays import FloatArray
from layered.scores import WHOLE_IMAGE, Score

SAFETY = "safety"

UNWANTED = (
    "a naked person",
    "pornography",
    "a sexual act",
    "blood and gore",
    "a wounded or dead person",
    "people fighting and hurting each other",
    "a symbol of hatred",
    "a swastika",
    "a person taking drugs",
    "a portrait photo of a celebrity",
)
WANTED = (
    "an illustration",
    "a picture of an object",
    "a picture of a dressed person",
    "a picture of an animal",
    "a picture of food",
    "a landscape",
    "a graphic design with text",
    "a decorative pattern",
)


class SafetyConfig(ScoreConfig):
    """The `filters.safety` section.

    Attributes:
        threshold: 0 flags what looks more like something unwanted than like anything wanted; a higher one flags what
            comes near to it.
        unwanted: prompts of what must not be published.
        wanted: prompts of what may be.
    """

    enabled: bool = False
    threshold: float | None = 0.0
    unwanted: tuple[str, ...] = Field(UNWANTED, min_length=1)
    wanted: tuple[str, ...] = Field(WANTED, min_length=1)


class Safety(Filter):
    """safety: the greatest cosine with a wanted prompt minus the greatest with an unwanted one, for the whole image and
    for each image layer by itself: what a design hides among other things is plain in its layer."""

    def __init__(self, config: SafetyConfig, clip: ClipConfig) -> None:
        self._config, self._clip = config, clip

    def setup(self) -> None:
        shared_clip(self._clip)

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        clip = shared_clip(self._clip)
        wanted, unwanted = clip.embed_texts(self._config.wanted), clip.embed_texts(self._config.unwanted)
        return [FilterResult(tuple(_scores(sample, clip, wanted, unwanted))) for sample in samples]


def _scores(sample: FilterInput, clip: ClipEncoder, wanted: FloatArray, unwanted: FloatArray) -> list[Score]:
    rows = []
    layers = {position: record for position, record in enumerate(sample.sidecar.layers) if record.kind == "image"}
    for position in (WHOLE_IMAGE, *layers):
        picture = clip.embed_part(sample, position)
        margin = float(np.max(wanted @ picture) - np.max(unwanted @ picture))
        index = WHOLE_IMAGE if position == WHOLE_IMAGE else layers[position].index
        rows.append(Score(sample.sample_id, index, SAFETY, margin))
    return rows
