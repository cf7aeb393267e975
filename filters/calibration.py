"""Calibration: from people's verdicts to thresholds, and what these do to samples they were not chosen on.

Verdicts on whole samples see the worst layer of each score, those on single layers that layer's own. Weights are
1 / inclusion probability, so that rates are those of the run and not of what was put before the reviewers (Horvitz and
Thompson 1952).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from filters.combination import fit_combination
from filters.combined import COMBINED, CombinedConfig, combined_probability
from filters.intervals import Interval, Rates, bootstrap_areas, measured_rates
from filters.operating_points import (
    Curve,
    Floats,
    Mask,
    Target,
    area_under_curve,
    as_values,
    choose_threshold,
    precision_recall_curve,
)

LEAST_OF_EACH: Final = 10
"""Good and bad verdicts below which nothing is chosen: an interval would be wider than what it should tell."""

TOGETHER: Final = "all thresholds together"
FOLDS: Final = 5

Checked = Literal["audit", "cross-fitted"]


@dataclass(frozen=True, eq=False)
class Observations:
    """Verdicts with the scores that they are about.

    Attributes:
        names: of the scores ``[k]``.
        scores: ``[n, k]``: NaN where there is no such score for this verdict, ``-inf`` where it is not a number.
        good: ``[n]``: kept by a person.
        weights: ``[n]``: 1 / inclusion probability.
        samples: ``[n]``: a number for each sample.
        whole: ``[n]``: the verdict is on the whole sample, not on one layer.
        audit: ``[n]``: the sample was drawn at random from all.
    """

    names: tuple[str, ...]
    scores: Floats
    good: Mask
    weights: Floats
    samples: np.ndarray
    whole: Mask
    audit: Mask

    def __len__(self) -> int:
        return len(self.good)

    def only(self, rows: Mask) -> Observations:
        """Some of the verdicts."""
        return Observations(
            self.names,
            self.scores[rows],
            self.good[rows],
            self.weights[rows],
            self.samples[rows],
            self.whole[rows],
            self.audit[rows],
        )

    def enough(self) -> bool:
        """Whether there are good and bad verdicts enough to choose or check by."""
        return min(int(self.good.sum()), int((~self.good).sum())) >= LEAST_OF_EACH


@dataclass(frozen=True, eq=False)
class ScoreCalibration:
    """What verdicts say of one score.

    Attributes:
        good, bad: verdicts that have this score.
        area: AUROC; no number where it could not be told.
        threshold: the chosen one; None where none was chosen, and `note` says why.
        rates: at the threshold that is then in force, the chosen or the former one, on the verdicts it was chosen on.
        curve: None where there were too few verdicts.
    """

    name: str
    good: int
    bad: int
    area: float
    area_interval: Interval | None
    threshold: float | None
    note: str = ""
    rates: Rates | None = None
    curve: Curve | None = None


@dataclass(frozen=True, eq=False)
class Check:
    """What the rules do to verdicts that they were not chosen on: rates by score name, `TOGETHER` and `COMBINED`."""

    kind: Checked
    rates: Mapping[str, Rates]


@dataclass(frozen=True, eq=False)
class Calibration:
    """All that was chosen and measured.

    Attributes:
        chosen_on: the verdicts that all but `check` follows from.
        scores: one entry per score, in the order of `Observations.names`.
        thresholds: in force with this calibration: the chosen ones, and those that stay as they were.
        together: what all of these do together to the verdicts on whole samples, or on layers where there are too few.
        combined: with its threshold; None where it could not be learned, and `combined_note` says why.
        check: None where there are too few verdicts to hold any back.
    """

    target: Target
    chosen_on: Observations
    scores: tuple[ScoreCalibration, ...]
    thresholds: Mapping[str, float]
    together: Rates
    combined: CombinedConfig | None
    combined_score: ScoreCalibration | None
    combined_note: str
    check: Check | None

    @property
    def limits(self) -> dict[str, float]:
        """The thresholds, and that of `combined` where it was learned."""
        of_combined = None if self.combined is None else self.combined.threshold
        return dict(self.thresholds) | ({} if of_combined is None else {COMBINED: of_combined})


@dataclass(frozen=True, eq=False)
class _Rules:
    """What one part of the verdicts chose."""

    scores: tuple[ScoreCalibration, ...]
    thresholds: Mapping[str, float]
    combined: CombinedConfig | None
    combined_score: ScoreCalibration | None
    combined_note: str


def calibrate(verdicts: Observations, target: Target, current: Mapping[str, float]) -> Calibration:
    """Chooses a threshold for each score and for a logistic combination of them, and checks the choice.

    The random audit, where it holds enough verdicts of both kinds and enough others are left, is only used to check.
    Otherwise all verdicts choose, and the check is by cross-fitting: each fifth of the samples is judged by rules that
    the other four fifths chose.

    Args:
        current: thresholds in force until now; a score for which none can be chosen keeps its own.
    """
    audit, others = verdicts.only(verdicts.audit), verdicts.only(~verdicts.audit)
    apart = audit.enough() and others.enough()
    chosen_on = others if apart else verdicts
    rules = _choose(chosen_on, target, current, interval=True)
    return Calibration(
        target,
        chosen_on,
        rules.scores,
        rules.thresholds,
        _measured(chosen_on, passes_all(chosen_on, rules.thresholds), _for_together(chosen_on)),
        rules.combined,
        rules.combined_score,
        rules.combined_note,
        _checked(rules, audit) if apart else _cross_fitted(verdicts, target, current),
    )


def passes_all(verdicts: Observations, thresholds: Mapping[str, float]) -> Mask:
    """Which verdicts' samples or layers no threshold flags, ``[n]``."""
    passed = np.ones(len(verdicts), bool)
    for column, name in enumerate(verdicts.names):
        if name in thresholds:
            values = verdicts.scores[:, column]
            passed &= np.isnan(values) | (values >= thresholds[name])
    return passed


def probabilities(verdicts: Observations, combined: CombinedConfig) -> Floats:
    """`combined` of each verdict ``[n]``; NaN where none of its scores is known."""
    found = []
    for row in verdicts.scores:
        worst = {name: float(value) for name, value in zip(verdicts.names, row, strict=True) if not np.isnan(value)}
        probability = combined_probability(combined, worst)
        found.append(np.nan if probability is None else probability)
    return np.array(found, np.float64)


def _choose(verdicts: Observations, target: Target, current: Mapping[str, float], interval: bool) -> _Rules:
    scores = tuple(
        _of_score(name, verdicts.scores[:, column], verdicts, target, current.get(name), interval)
        for column, name in enumerate(verdicts.names)
    )
    chosen = {score.name: score.threshold for score in scores if score.threshold is not None}
    combined, score, note = _combine(verdicts.only(verdicts.whole), target, interval)
    return _Rules(scores, {**current, **chosen}, combined, score, note)


def _of_score(
    name: str,
    values: Floats,
    verdicts: Observations,
    target: Target,
    former: float | None,
    interval: bool,
    must_tell: bool = True,
) -> ScoreCalibration:
    """The best threshold of one score, judged by the verdicts that have it.

    Args:
        former: stays in force where no other is chosen.
        interval: whether to measure rates; cross-fitting does without.
        must_tell: choose nothing where AUROC may as well be that of a coin.
    """
    known = ~np.isnan(values)
    part = verdicts.only(known)
    values, good, weights = values[known], part.good, part.weights
    counts = int(good.sum()), int((~good).sum())

    def in_force(threshold: float | None) -> Rates | None:
        if threshold is None or not interval or not len(part):
            return None
        return measured_rates(values >= threshold, good, weights, part.samples)

    stays = "" if former is None else ": stays"
    if min(counts) < LEAST_OF_EACH:
        note = f"fewer than {LEAST_OF_EACH} good or bad{stays}"
        return ScoreCalibration(name, *counts, np.nan, None, None, note, in_force(former))
    area = area_under_curve(values, good, weights)
    area_interval = bootstrap_areas(values, good, weights, part.samples)
    curve = precision_recall_curve(values, good, weights)
    threshold, note = choose_threshold(curve, target), ""
    if must_tell and area_interval.low <= 0.5:
        threshold, note = None, f"tells nothing{stays}"
    elif threshold is None:
        best = (curve.precision if target.kind == "precision" else curve.recall).max(initial=0.0)
        note = f"reaches {best:.2f} at most{stays}"
    rates = in_force(former if threshold is None else threshold)
    return ScoreCalibration(name, *counts, area, area_interval, threshold, note, rates, curve)


def _combine(
    verdicts: Observations, target: Target, interval: bool
) -> tuple[CombinedConfig | None, ScoreCalibration | None, str]:
    if not verdicts.enough():
        counts = f"{verdicts.good.sum()} good and {(~verdicts.good).sum()} bad"
        return None, None, f"{counts} verdicts on whole samples, {LEAST_OF_EACH} of each are needed"
    combined = fit_combination(verdicts.names, verdicts.scores, verdicts.good, verdicts.weights)
    if combined is None:
        return None, None, "no score tells good samples from bad ones"
    score = _of_score(COMBINED, probabilities(verdicts, combined), verdicts, target, None, interval, must_tell=False)
    if score.threshold is None:
        return None, score, f"it {score.note}"
    return combined.model_copy(update={"threshold": score.threshold}), score, ""


def _checked(rules: _Rules, held_out: Observations) -> Check:
    found = {}
    for score in rules.scores:
        if score.threshold is not None:
            values = held_out.scores[:, held_out.names.index(score.name)]
            found[score.name] = _measured(held_out, values >= score.threshold, ~np.isnan(values))
    found[TOGETHER] = _measured(held_out, passes_all(held_out, rules.thresholds), _for_together(held_out))
    if rules.combined is not None:
        found[COMBINED] = _measured(held_out, *_combined_passes(held_out, rules.combined))
    return Check("audit", found)


def _cross_fitted(verdicts: Observations, target: Target, current: Mapping[str, float]) -> Check | None:
    """Each verdict is judged by rules in which its sample had no say."""
    folds, for_together = _folds(verdicts), _for_together(verdicts)
    if any(not verdicts.only(folds != fold).enough() for fold in range(FOLDS)):
        return None
    passed: dict[str, Mask] = {}
    judged: dict[str, Mask] = {}

    def note(name: str, rows: Mask, passes: Mask, among: Mask) -> None:
        for store, values in ((passed, passes), (judged, among)):
            store.setdefault(name, np.zeros(len(verdicts), bool))[rows] = values

    for fold in range(FOLDS):
        rows = folds == fold
        rules, held_out = _choose(verdicts.only(~rows), target, current, interval=False), verdicts.only(rows)
        for column, score in enumerate(rules.scores):
            if score.threshold is not None:
                values = held_out.scores[:, column]
                note(score.name, rows, values >= score.threshold, ~np.isnan(values))
        note(TOGETHER, rows, passes_all(held_out, rules.thresholds), for_together[rows])
        if rules.combined is not None:
            note(COMBINED, rows, *_combined_passes(held_out, rules.combined))
    return Check("cross-fitted", {name: _measured(verdicts, passed[name], judged[name]) for name in passed})


def _combined_passes(verdicts: Observations, combined: CombinedConfig) -> tuple[Mask, Mask]:
    """Which verdicts pass, and which are on whole samples that have the scores."""
    values = probabilities(verdicts, combined)
    assert combined.threshold is not None
    return as_values(values) >= combined.threshold, verdicts.whole & ~np.isnan(values)


def _for_together(verdicts: Observations) -> Mask:
    """The verdicts that all thresholds together are measured on: those on whole samples, as samples are published; all
    where there are too few of these."""
    return verdicts.whole if verdicts.only(verdicts.whole).enough() else np.ones(len(verdicts), bool)


def _measured(verdicts: Observations, passed: Mask, among: Mask) -> Rates:
    part = verdicts.only(among)
    return measured_rates(passed[among], part.good, part.weights, part.samples)


def _folds(verdicts: Observations) -> np.ndarray:
    """A fold in 0…4 for each verdict, all of a sample in one; those with a bad verdict dealt out first, so that every
    fold has its part of them."""
    samples, place = np.unique(verdicts.samples, return_inverse=True)
    bad = np.bincount(place, ~verdicts.good, len(samples)) > 0
    order = np.random.default_rng(0).permutation(len(samples))
    order = np.concatenate([order[bad[order]], order[~bad[order]]])
    dealt = np.empty(len(samples), np.int64)
    dealt[order] = np.arange(len(samples)) % FOLDS
    return dealt[place]
