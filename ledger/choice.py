"""Which of the samples that may be published are: the step from PrismLayers to PrismLayersPro, as a setting."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from layered.scores import Score
from ledger.index import RunIndex, SampleRecord
from ledger.selection import LeftOut, Selected, Selection

_VERDICT_ORDER = {"pro": 0, "keep": 1, "": 2}


class SelectionConfig(BaseModel):
    """The `selection` section: which of the samples that pass, or that people kept, are published.

    Attributes:
        verdict: ``any`` publishes them all, ``kept`` those that a person gave Pro or keep, ``pro`` those with Pro.
        min_layers, max_layers: layers that are left after rejected ones have gone.
        per_style: most samples of one style; null takes all.
        quotas: the same for single styles, by name; in place of `per_style`.
        rank_by: of a style with more than its quota, Pro stays before keep and keep before undecided; among equals the
            highest value of this score does (of a score of layers the worst layer counts), and without it the plan's
            order decides.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    verdict: Literal["any", "kept", "pro"] = "any"
    min_layers: Annotated[int, Field(ge=1)] = 1
    max_layers: Annotated[int, Field(ge=1)] | None = None
    per_style: Annotated[int, Field(ge=0)] | None = None
    quotas: dict[str, Annotated[int, Field(ge=0)]] = {}
    rank_by: str = ""

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.max_layers is not None and self.max_layers < self.min_layers:
            raise ValueError(f"max_layers {self.max_layers} is below min_layers {self.min_layers}")
        return self


def choose(selection: Selection, index: RunIndex, config: SelectionConfig) -> Selection:
    """The selection with those left out that the configuration does not choose, in the plan's order as before."""
    if config == SelectionConfig():
        return selection
    place = {selected.sample_id: number for number, selected in enumerate(selection.published)}
    records = {record.sample_id: record for record in index.records() if record.sample_id in place}
    derived = {score.sample_id: (score,) for score in selection.derived if score.name == config.rank_by}
    left_out: dict[str, LeftOut] = {}
    ranked: list[tuple[tuple[int, float, int], Selected]] = []
    for selected in selection.published:
        record = records[selected.sample_id]
        reason = _unwanted(selected, record, config)
        if reason:
            left_out[selected.sample_id] = LeftOut(selected.sample_id, "not chosen", reason)
            continue
        scores = (*record.scores, *derived.get(selected.sample_id, ()))
        value = _worst(scores, selected, config.rank_by)
        ranked.append(((_VERDICT_ORDER[selected.decision], -value, place[selected.sample_id]), selected))
    taken: Counter[str] = Counter()
    for _, selected in sorted(ranked, key=lambda entry: entry[0]):
        style = records[selected.sample_id].style
        quota = config.quotas.get(style, config.per_style)
        if quota is not None and taken[style] >= quota:
            detail = f"the style {style} has its {quota} samples"
            left_out[selected.sample_id] = LeftOut(selected.sample_id, "not chosen", detail)
        else:
            taken[style] += 1
    order = {sample_id: number for number, sample_id in enumerate(index.sample_ids)}
    return Selection(
        tuple(selected for selected in selection.published if selected.sample_id not in left_out),
        tuple(sorted((*selection.left_out, *left_out.values()), key=lambda each: order[each.sample_id])),
        selection.derived,
    )


def _unwanted(selected: Selected, record: SampleRecord, config: SelectionConfig) -> str:
    """Why a sample is not wanted, whatever others there are; empty when it is."""
    layers = record.layer_count - len(selected.dropped_layers)
    if config.verdict == "pro" and selected.decision != "pro":
        return "no person gave it Pro"
    if config.verdict == "kept" and not selected.decision:
        return "no person kept it"
    if layers < config.min_layers:
        return f"it has {layers} layers, fewer than {config.min_layers}"
    if config.max_layers is not None and layers > config.max_layers:
        return f"it has {layers} layers, more than {config.max_layers}"
    return ""


def _worst(scores: Iterable[Score], selected: Selected, name: str) -> float:
    """The worst value of a score among the layers that are published and the whole image; -inf without one."""
    values = [
        score.score
        for score in scores
        if score.name == name and score.layer_index not in selected.dropped_layers and not math.isnan(score.score)
    ]
    return min(values, default=-math.inf)
