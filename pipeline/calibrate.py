"""`layerprism calibrate`: from people's verdicts to thresholds that `shard` takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from filters.calibration import LEAST_OF_EACH, Calibration, Observations, calibrate
from filters.combined import COMBINED, combined_probability, worst_scores
from filters.operating_points import Target
from layered.errors import UserError
from layered.scores import WHOLE_IMAGE, Score
from ledger.decisions import AUDIT_QUEUE
from ledger.index import RunIndex, SampleRecord
from ledger.run_directory import RunDirectory
from ledger.selection import flagged, standing_scores
from pipeline.labels import Label, labels_of_run, read_labels
from pipeline.run import existing_run

DEFAULT_RECALL = 0.95
NO_REASON = "no reason given"


@dataclass(frozen=True)
class LabelledSample:
    """A verdict with the score rows that it is about: those of one layer, or of the whole sample and all its layers."""

    label: Label
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class RejectedKept:
    """What people kept and the thresholds, or the combination in their place, would flag: by which scores."""

    label: Label
    flags: tuple[Score, ...]


@dataclass(frozen=True)
class CaughtReason:
    """Bad verdicts with one reason, and how many of them the thresholds and `combined` reject (None: not learned)."""

    reason: str
    bad: int
    by_thresholds: int
    by_combined: int | None


@dataclass(frozen=True, eq=False)
class CalibratedRun:
    """A calibration with what a person wants to see of it.

    Attributes:
        observations: all verdicts that were used.
        current: thresholds in force until now.
        rejected: what people kept and would be flagged, in the order of the labels.
        left_out: labels of samples that could not be made.
    """

    run: RunDirectory
    calibration: Calibration
    observations: Observations
    current: Mapping[str, float]
    rejected: tuple[RejectedKept, ...]
    reasons: tuple[CaughtReason, ...]
    left_out: int

    @property
    def verdicts(self) -> str:
        """How many verdicts there are, in words."""
        whole = int(self.observations.whole.sum())
        layers = len(self.observations) - whole
        audit = int(self.observations.audit.sum())
        return f"{whole} verdicts on samples and {layers} on layers, {audit} of them from the queue {AUDIT_QUEUE}"


def target_of(precision: float | None, recall: float | None) -> Target:
    """What is wanted: one of the two, or a recall of 0.95.

    Raises:
        UserError: when both are given, or one lies outside 0…1.
    """
    if precision is not None and recall is not None:
        raise UserError("--precision and --recall exclude each other: give the one that must be reached")
    recall = DEFAULT_RECALL if recall is None else recall
    target = Target("recall", recall) if precision is None else Target("precision", precision)
    if not 0 < target.value <= 1:
        raise UserError(f"--{target.kind} is {target.value:g}: give a share in 0…1, as 0.95")
    return target


def calibrate_run(place: Path | str, labels_file: Path | None, target: Target) -> CalibratedRun:
    """Chooses thresholds by the decisions in a run, or by a labels file.

    Raises:
        UserError: when there is no run, as `pipeline.labels` raises for labels, and as `calibrate_labels`.
    """
    session = existing_run(place)
    labels = read_labels(labels_file) if labels_file else labels_of_run(session.run)
    return calibrate_labels(session.run, labels, target, session.config.filters.thresholds())


def calibrate_labels(
    run: RunDirectory, labels: Sequence[Label], target: Target, current: Mapping[str, float]
) -> CalibratedRun:
    """The calibration of a run by labels.

    Args:
        current: thresholds in force until now.

    Raises:
        UserError: when there are no scores, too few verdicts or verdicts of one kind only, or when a label names a
            sample or layer that the run does not have.
    """
    index = RunIndex.load(run.storage)
    if not any(map(len, index.score_batches())):
        raise UserError(f"{run.place} holds no scores: layerprism run CONFIG --out {run.place} --only filters")
    samples = labelled_samples(index, labels, run.place)
    observations = observations_of(samples)
    good, bad = int(observations.good.sum()), int((~observations.good).sum())
    if min(good, bad) < LEAST_OF_EACH:
        raise UserError(
            f"{run.place}: {good} good and {bad} bad verdicts on samples with scores: "
            f"at least {LEAST_OF_EACH} of each are needed"
        )
    found = calibrate(observations, target, {name: value for name, value in current.items() if name != COMBINED})
    return CalibratedRun(
        run,
        found,
        observations,
        current,
        tuple(_rejected(samples, found)),
        tuple(_reasons(samples, found)),
        len(labels) - len(samples),
    )


def labelled_samples(index: RunIndex, labels: Iterable[Label], run: str) -> list[LabelledSample]:
    """Labels with their score rows, in order; those of samples that could not be made are left out.

    A sample that people kept without some of its layers is judged by what is left of it.

    Raises:
        UserError: for a sample or a layer that the run does not have.
    """
    labels = list(labels)
    rejected: dict[str, set[int]] = defaultdict(set)
    for label in labels:
        if label.layer_index != WHOLE_IMAGE and not label.good:
            rejected[label.sample_id].add(label.layer_index)
    records: dict[str, SampleRecord] = {}
    samples = []
    for label in labels:
        if label.sample_id not in index:
            raise UserError(f"{label.place}: {run} has no sample {label.sample_id}")
        if label.sample_id not in records:
            records[label.sample_id] = index.record(label.sample_id)
        record = records[label.sample_id]
        if record.failure is not None:
            continue
        if label.layer_index >= record.layer_count:
            raise UserError(
                f"{label.place}: sample {label.sample_id} has {record.layer_count} layers, none of them is number "
                f"{label.layer_index}"
            )
        if label.layer_index != WHOLE_IMAGE:
            rows = tuple(score for score in record.scores if score.layer_index == label.layer_index)
        else:
            rows = standing_scores(record.scores, rejected[label.sample_id] if label.good else ())
        samples.append(LabelledSample(label, rows))
    return samples


def observations_of(samples: Sequence[LabelledSample]) -> Observations:
    """Verdicts as arrays: one column per score, the worst layer for a verdict on the whole sample."""
    rows = [worst_scores(sample.scores) for sample in samples]
    names = tuple(sorted({name for row in rows for name in row}))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(s.label.sample_id for s in samples))}
    labels = [sample.label for sample in samples]
    return Observations(
        names,
        np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float64).reshape(-1, len(names)),
        np.array([label.good for label in labels], bool),
        np.array([1 / label.inclusion_probability for label in labels], np.float64),
        np.array([numbers[label.sample_id] for label in labels], np.int64),
        np.array([label.layer_index == WHOLE_IMAGE for label in labels], bool),
        np.array([label.queue == AUDIT_QUEUE for label in labels], bool),
    )


def _rejected(samples: Iterable[LabelledSample], found: Calibration) -> Iterable[RejectedKept]:
    for sample in samples:
        told = _combined(sample, found)
        of_combined = [Score(sample.label.sample_id, WHOLE_IMAGE, COMBINED, told)] if told is not None else []
        flags = flagged((*sample.scores, *of_combined), found.limits)
        if sample.label.good and flags:
            yield RejectedKept(sample.label, tuple(flags))


def _reasons(samples: Iterable[LabelledSample], found: Calibration) -> list[CaughtReason]:
    by_reason: dict[str, list[LabelledSample]] = defaultdict(list)
    for sample in samples:
        if not sample.label.good:
            for reason in sample.label.reasons or (NO_REASON,):
                by_reason[reason].append(sample)
    caught = []
    for reason, bad in by_reason.items():
        by_thresholds = sum(bool(flagged(sample.scores, found.thresholds)) for sample in bad)
        by_combined = None
        if found.combined is not None:
            told = [_combined(sample, found) for sample in bad]
            by_combined = sum(value is not None and not value >= found.limits[COMBINED] for value in told)
        caught.append(CaughtReason(reason, len(bad), by_thresholds, by_combined))
    return sorted(caught, key=lambda each: (-each.bad, each.reason))


def _combined(sample: LabelledSample, found: Calibration) -> float | None:
    """`combined` of a whole sample; it says nothing of single layers."""
    if found.combined is None or sample.label.layer_index != WHOLE_IMAGE:
        return None
    return combined_probability(found.combined, worst_scores(sample.scores))
