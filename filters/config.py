"""The `filters` section of a configuration: one entry per score, named as the score is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from filters.aesthetics import AestheticConfig
from filters.artifacts import ArtifactsConfig
from filters.clip import ClipConfig
from filters.combined import COMBINED, CombinedConfig
from filters.duplicates import DuplicatesConfig
from filters.filter import ScoreConfig
from filters.safety import SafetyConfig


class FiltersConfig(BaseModel):
    """Which scores flag a sample, and below what.

    The defaults of `alpha…`, `artifact…` and `clip…` are measured by `benchmarks/filters.py`: few sound samples of any
    kind are flagged by all scores together, most of those with a controlled corruption are, and no photo-like layer.
    Those of `artifact…` are chosen together by `benchmarks/filter_thresholds.py`.

    Those of `composition` and `recomposition` leave room for what designs do on purpose. A layer may lie behind others
    while a quarter of it is seen, and behind one larger layer while two fifths of it are free. A picture keeps its
    aspect and may leave much of its box empty. Large letters need a contrast of 3 (WCAG); the hardest fifth of them may
    have 2. ART's layers meet its own prediction at 17.7 to 22.9 dB (arXiv 2502.18364): 18 dB flags what is worse.

    Attributes:
        artifacts: which classifier gives the `artifact…` scores.
        clip: which CLIP looks at the pictures, for all `clip_…` scores.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    alpha_empty: ScoreConfig = ScoreConfig(threshold=0.5)
    alpha_rectangle: ScoreConfig = ScoreConfig(threshold=0.2)
    alpha_cut: ScoreConfig = ScoreConfig(threshold=0.65)
    alpha_holes: ScoreConfig = ScoreConfig(threshold=0.6)
    alpha_specks: ScoreConfig = ScoreConfig(threshold=0.2)
    alpha_leftover: ScoreConfig = ScoreConfig(threshold=0.3)
    alpha_halo: ScoreConfig = ScoreConfig(threshold=0.3)
    artifact: ScoreConfig = ScoreConfig(threshold=0.008)
    artifact_oddity: ScoreConfig = ScoreConfig(threshold=0.008)
    artifact_cut: ScoreConfig = ScoreConfig(threshold=0.742)
    artifact_several: ScoreConfig = ScoreConfig(threshold=0.29)
    artifact_malformed: ScoreConfig = ScoreConfig(threshold=0.008)
    artifact_lettering: ScoreConfig = ScoreConfig(threshold=0.665)
    artifact_leftover: ScoreConfig = ScoreConfig(threshold=0.128)
    artifact_halo: ScoreConfig = ScoreConfig(threshold=0.391)
    artifact_holes: ScoreConfig = ScoreConfig(threshold=0.009)
    artifact_specks: ScoreConfig = ScoreConfig(threshold=0.76)
    artifact_checkerboard: ScoreConfig = ScoreConfig(threshold=0.882)
    artifact_blur: ScoreConfig = ScoreConfig(threshold=0.155)
    artifact_noise: ScoreConfig = ScoreConfig(threshold=0.151)
    artifact_seams: ScoreConfig = ScoreConfig(threshold=0.097)
    clip_layer: ScoreConfig = ScoreConfig(threshold=0.2)
    clip_margin: ScoreConfig = ScoreConfig(threshold=-0.2)
    clip_whole: ScoreConfig = ScoreConfig(threshold=0.18)
    aesthetic: AestheticConfig = AestheticConfig()
    safety: SafetyConfig = SafetyConfig()
    composition_visible: ScoreConfig = ScoreConfig(threshold=0.25)
    composition_order: ScoreConfig = ScoreConfig(threshold=0.4)
    composition_box: ScoreConfig = ScoreConfig(threshold=0.3)
    composition_contrast: ScoreConfig = ScoreConfig(threshold=2.0)
    recomposition: ScoreConfig = ScoreConfig(threshold=18.0)
    combined: CombinedConfig = CombinedConfig()
    artifacts: ArtifactsConfig = ArtifactsConfig()
    clip: ClipConfig = ClipConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()

    @model_validator(mode="before")
    @classmethod
    def _keep_what_is_not_given(cls, values: Any) -> Any:
        """A score of which only one setting is given keeps the others of its own default."""
        if not isinstance(values, dict):
            return values
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return {
            name: defaults[name].model_dump() | _with_tuples(value)
            if isinstance(value, dict) and isinstance(defaults.get(name), ScoreConfig)
            else _with_tuples(value)
            for name, value in values.items()
        }

    @model_validator(mode="after")
    def _terms_are_of_scores(self) -> Self:
        for term in self.combined.terms:
            if term.score == COMBINED or term.score not in self.scores():
                known = ", ".join(name for name in self.scores() if name != COMBINED)
                raise ValueError(f"combined.terms names {term.score}, which is no score; there are {known}")
        return self

    def thresholds(self) -> dict[str, float]:
        """The threshold of every enabled score that has one, by name."""
        scores = {name: score for name, score in self.scores().items() if score.enabled}
        return {name: score.threshold for name, score in scores.items() if score.threshold is not None}

    def enabled(self) -> frozenset[str]:
        """The names of the scores that are computed."""
        return frozenset(name for name, score in self.scores().items() if score.enabled)

    def scores(self) -> dict[str, ScoreConfig]:
        """All scores by name."""
        entries = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: entry for name, entry in entries.items() if isinstance(entry, ScoreConfig)}


def filters_of_run(info: Mapping[str, Any]) -> FiltersConfig | None:
    """The filters in a run's stored configuration (``run.json``); None where this version cannot read it."""
    try:
        return FiltersConfig.model_validate_json(json.dumps(info["config"]["filters"]))
    except (KeyError, TypeError, ValidationError):
        return None


def _with_tuples(value: Any) -> Any:
    """JSON's lists as tuples: what a validator returns is no longer taken for JSON, where a list may be one."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
