"""`combined`: one number from many scores, by a logistic formula whose weights stand in the configuration.

It needs no model and no picture: it follows from the stored score rows whenever samples are selected. `layerprism
calibrate` learns the weights from people's decisions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from filters.filter import ScoreConfig
from layered.scores import WHOLE_IMAGE, Score

COMBINED = "combined"


class CombinedTerm(BaseModel):
    """What one score adds: ``weight · (score − center)``; nothing where a sample has no such score."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    score: str = Field(min_length=1)
    weight: float
    center: float


class CombinedConfig(ScoreConfig):
    """The `filters.combined` section: the probability that a person keeps the sample, as its scores tell it.

    Attributes:
        bias: the log-odds of a sample whose scores all lie at their centers.
        terms: one per score; of a score of layers the worst layer counts. A list, so that a configuration that extends
            another replaces all of its terms.
    """

    enabled: bool = False
    threshold: float | None = 0.5
    bias: float = 0.0
    terms: tuple[CombinedTerm, ...] = ()

    @model_validator(mode="after")
    def _terms_make_sense(self) -> Self:
        if self.enabled and not self.terms:
            raise ValueError("there are no terms to combine: take them from `layerprism calibrate RUN`, or disable it")
        names = [term.score for term in self.terms]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the score {twice} has two terms")
        return self


def worst_scores(scores: Iterable[Score]) -> dict[str, float]:
    """The lowest value by name, over the layers and the whole image; what is not a number counts as ``-inf``."""
    worst: dict[str, float] = {}
    for score in scores:
        value = -math.inf if math.isnan(score.score) else score.score
        worst[score.name] = min(value, worst.get(score.name, math.inf))
    return worst


def combined_probability(config: CombinedConfig, worst: Mapping[str, float]) -> float | None:
    """``sigmoid(bias + Σ weight · (score − center))`` in 0…1; None without any of the scores that have a term.

    Args:
        worst: of `worst_scores`.
    """
    known = [term for term in config.terms if term.score in worst]
    if not known:
        return None
    log_odds = config.bias + sum(term.weight * (worst[term.score] - term.center) for term in known)
    # exp overflows for large arguments, and two infinite scores of opposite weights cancel to no number.
    return math.nan if math.isnan(log_odds) else 1 / (1 + math.exp(-max(-700.0, min(700.0, log_odds))))


def combined_scores(config: CombinedConfig, scores: Iterable[Score]) -> tuple[Score, ...]:
    """The row `combined` of one sample, from its other rows; none where it is off or the sample has no such scores."""
    rows = tuple(scores)
    probability = combined_probability(config, worst_scores(rows)) if config.enabled else None
    return () if probability is None else (Score(rows[0].sample_id, WHOLE_IMAGE, COMBINED, probability),)
