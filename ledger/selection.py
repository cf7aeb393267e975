"""Which samples are published, and in what form: thresholds first, then people, who overrule them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from layered.codec import SIDECAR_MEMBER
from layered.scores import WHOLE_IMAGE, Score
from layered.sidecar import Sidecar
from ledger.decisions import NO_DECISIONS, SampleDecisions
from ledger.index import RunIndex, SampleRecord
from ledger.licences import LicenceRule
from ledger.run_directory import PlannedSample
from shards.tar import is_sample_member

DuplicateFinder = Callable[[Mapping[str, Mapping[str, bytes]]], Collection[str]]
"""Takes the features of accepted samples by id, in the plan's order; returns the ids that repeat an earlier one."""

ScoreDeriver = Callable[[Iterable[Score]], Iterable[Score]]
"""Takes the score rows of one sample that still hold; returns rows that follow from them."""

Reason = Literal["failed", "rejected", "licence", "flagged", "duplicate", "held back", "not chosen"]


@dataclass(frozen=True)
class Selected:
    """A sample to publish.

    Attributes:
        content: hash of the sample's files as they lie in its chunk, and of its scores.
        decision: the verdict on the whole sample, or an empty string.
        dropped_layers: published without them.
        whole_caption: replaces the sidecar's; empty when that one stays.
        layer_captions: replace those of single layers.
    """

    sample_id: str
    split: str
    content: str
    decision: str = ""
    dropped_layers: tuple[int, ...] = ()
    whole_caption: str = ""
    layer_captions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A sample that is not published, and why: `detail` is for people."""

    sample_id: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Selection:
    """Both parts in the plan's order; samples that no commit holds yet are in neither.

    Attributes:
        derived: the scores of all finished samples that were not stored but follow from stored ones.
    """

    published: tuple[Selected, ...]
    left_out: tuple[LeftOut, ...]
    derived: tuple[Score, ...] = ()

    def reasons(self) -> dict[Reason, int]:
        """How many samples were left out for which reason, the most frequent first."""
        return dict(Counter(sample.reason for sample in self.left_out).most_common())


def select(
    plan: Sequence[PlannedSample],
    index: RunIndex,
    decisions: Mapping[str, SampleDecisions],
    thresholds: Mapping[str, float],
    find_duplicates: DuplicateFinder | None = None,
    derive_scores: ScoreDeriver | None = None,
    licences: LicenceRule | None = None,
) -> Selection:
    """Decides about every committed sample.

    A failed sample is never published. A verdict on the whole sample decides, whatever its scores: ``reject`` leaves it
    out, ``pro`` and ``keep`` publish it. Otherwise one score below its threshold leaves it out. A rejected layer goes,
    and its scores with it; those of the whole image then describe another picture and do not count either. A kept
    layer's scores cannot flag. Near-duplicates go last, in the plan's order, unless a person kept them.

    Args:
        decisions: of `ledger.decisions.resolve`.
        thresholds: lowest acceptable score by name; names without one flag nothing.
        derive_scores: further scores that thresholds hold for, such as a combination of the stored ones.
        licences: layers under others are treated as rejected ones; not even a person can keep them.
    """
    splits = {planned.sample_id: planned.split for planned in plan}
    outcomes: dict[str, Selected | LeftOut] = {}
    features: dict[str, Mapping[str, bytes]] = {}
    derived: list[Score] = []
    for record in index.records():
        if record.sample_id in splits:
            verdicts = decisions.get(record.sample_id, NO_DECISIONS)
            outcome = _judge(record, splits[record.sample_id], index, verdicts, thresholds, derive_scores, licences)
            outcomes[record.sample_id] = outcome
            derived += derive_scores(record.scores) if derive_scores and record.failure is None else ()
            if find_duplicates is not None and isinstance(outcome, Selected):
                features[record.sample_id] = record.features
    order = [planned.sample_id for planned in plan if planned.sample_id in outcomes]
    if find_duplicates is not None:
        accepted = {sample_id: features[sample_id] for sample_id in order if sample_id in features}
        for sample_id in find_duplicates(accepted):
            outcome = outcomes[sample_id]
            if isinstance(outcome, Selected) and not outcome.decision:
                outcomes[sample_id] = LeftOut(sample_id, "duplicate", "looks like an earlier sample")
    ordered = [outcomes[sample_id] for sample_id in order]
    return Selection(
        tuple(outcome for outcome in ordered if isinstance(outcome, Selected)),
        tuple(outcome for outcome in ordered if isinstance(outcome, LeftOut)),
        tuple(derived),
    )


def flagged(scores: Iterable[Score], thresholds: Mapping[str, float]) -> list[Score]:
    """The score rows below their thresholds. A score that is not a number is below any."""
    return [score for score in scores if score.name in thresholds and not score.score >= thresholds[score.name]]


def standing_scores(scores: Iterable[Score], dropped_layers: Collection[int]) -> tuple[Score, ...]:
    """The score rows that still hold without some layers: no row of those, and none of the whole image they were in."""
    if not dropped_layers:
        return tuple(scores)
    return tuple(score for score in scores if score.layer_index not in {WHOLE_IMAGE, *dropped_layers})


def _judge(
    record: SampleRecord,
    split: str,
    index: RunIndex,
    verdicts: SampleDecisions,
    thresholds: Mapping[str, float],
    derive_scores: ScoreDeriver | None,
    licences: LicenceRule | None,
) -> Selected | LeftOut:
    if record.failure is not None:
        return LeftOut(record.sample_id, "failed", f"{record.failure.stage}: {record.failure.error}")
    whole = verdicts.whole
    if whole is not None and whole.verdict == "reject":
        detail = f"by {whole.reviewer}" + (f": {', '.join(whole.reasons)}" if whole.reasons else "")
        return LeftOut(record.sample_id, "rejected", detail)
    dropped = set(verdicts.rejected_layers)
    if licences is not None:
        sidecar = _sidecar(index, record.sample_id)
        if against := licences.against(sidecar):
            return LeftOut(record.sample_id, "licence", against)
        dropped |= licences.others(sidecar).keys()
    scores = standing_scores(record.scores, dropped)
    if whole is None:
        undecided = [score for score in scores if score.layer_index not in verdicts.layers]
        derived = derive_scores(undecided) if derive_scores else ()
        flags = flagged((*undecided, *derived), thresholds)
        if flags:
            return LeftOut(record.sample_id, "flagged", "; ".join(_described(flag, thresholds) for flag in flags))
    selected = Selected(
        sample_id=record.sample_id,
        split=split,
        content=_content_hash(record, scores),
        decision=whole.verdict if whole else "",
        dropped_layers=tuple(sorted(dropped)),
        whole_caption=whole.caption if whole else "",
        layer_captions={layer: kept.caption for layer, kept in sorted(verdicts.layers.items()) if kept.caption},
    )
    return _without_layers(selected, index, verdicts) if dropped else selected


def _without_layers(selected: Selected, index: RunIndex, verdicts: SampleDecisions) -> Selected | LeftOut:
    """The sample without its dropped layers, under a caption that names none of them."""
    sidecar = _sidecar(index, selected.sample_id)
    remaining = [layer for layer in sidecar.layers if layer.index not in selected.dropped_layers]
    if not remaining:
        return LeftOut(selected.sample_id, "held back", "all of its layers are left out")
    rejections = [verdicts.layers[layer].at for layer in selected.dropped_layers if layer in verdicts.rejected_layers]
    known_to_people = len(rejections) == len(selected.dropped_layers)
    if known_to_people and verdicts.whole and verdicts.whole.caption and verdicts.whole.at >= max(rejections):
        return selected  # somebody wrote the caption knowing that the layers are gone
    captions = [sidecar.base_caption]
    captions += [selected.layer_captions.get(layer.index) or layer.caption or layer.text for layer in remaining]
    joined = ", ".join(caption for caption in captions if caption)
    if not joined:
        return LeftOut(selected.sample_id, "held back", "without its dropped layers no caption is left")
    return Selected(**{**vars(selected), "whole_caption": joined})


def _sidecar(index: RunIndex, sample_id: str) -> Sidecar:
    return Sidecar.from_json(index.sample_members(sample_id, [SIDECAR_MEMBER])[SIDECAR_MEMBER])


def _content_hash(record: SampleRecord, scores: Iterable[Score]) -> str:
    files = [(member.name, member.sha256) for member in record.members if is_sample_member(member.name)]
    values = [(score.layer_index, score.name, score.score) for score in scores]
    return hashlib.sha256(json.dumps([files, values]).encode()).hexdigest()


def _described(score: Score, thresholds: Mapping[str, float]) -> str:
    where = "" if score.layer_index == WHOLE_IMAGE else f" of layer {score.layer_index}"
    return f"{score.name}{where} is {score.score:.3f}, below {thresholds[score.name]:g}"
