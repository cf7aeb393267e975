"""Thresholds on one score, judged by labelled samples: how much of what passes is good, how much of the good passes.

A sample passes when its score is at or above the threshold. All sums are weighted, so that a sample which had only one
chance in ten to be looked at counts for ten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """What a threshold must reach: `value` in 0…1 of precision or of recall."""

    kind: Literal["precision", "recall"]
    value: float


@dataclass(frozen=True, eq=False)
class Curve:
    """All thresholds that differ in what passes, from the one that everything with a score passes, upward.

    Attributes:
        thresholds: ``[t]``, ascending: the distinct finite values of the score.
        precision: ``[t]``, the good part of what passes.
        recall: ``[t]``, the passing part of what is good.
    """

    thresholds: Floats
    precision: Floats
    recall: Floats


def precision_recall_curve(values: Floats, good: Mask, weights: Floats) -> Curve:
    """The curve of one score.

    Args:
        values: ``[n]``; ``-inf`` passes no threshold.
        good: ``[n]``, what a person keeps.
        weights: ``[n]``, positive.
    """
    thresholds, place = np.unique(values, return_inverse=True)
    count = len(thresholds)
    # Sums from the top: what passes a threshold is everything at or above it.
    passing = np.bincount(place, weights, count)[::-1].cumsum()[::-1]
    passing_good = np.bincount(place, weights * good, count)[::-1].cumsum()[::-1]
    finite = np.isfinite(thresholds)
    all_good = float((weights * good).sum())
    recall = passing_good / all_good if all_good else np.zeros(count)
    return Curve(thresholds[finite], (passing_good / passing)[finite], recall[finite])


def choose_threshold(curve: Curve, target: Target) -> float | None:
    """The threshold that reaches the target and gives up as little of the other rate as possible.

    For a precision: of those that reach it, the lowest, which has the greatest recall. For a recall: of those that
    reach it the one of the greatest precision, and of equal ones the lowest.

    Returns:
        A short decimal number that divides the labelled samples exactly so; None where no threshold reaches the target.
    """
    rate = curve.precision if target.kind == "precision" else curve.recall
    reached = np.flatnonzero(rate >= target.value - 1e-12)
    if reached.size == 0:
        return None
    best = reached[0] if target.kind == "precision" else reached[np.argmax(curve.precision[reached])]
    below = float(curve.thresholds[best - 1]) if best else -math.inf
    return shortest_between(below, float(curve.thresholds[best]))


def shortest_between(low: float, high: float) -> float:
    """The number of fewest decimals above `low` and not above `high`, at least two decimals of it used.

    >>> shortest_between(0.4312, 0.4387)
    0.435
    """
    for digits in range(2, 16):
        step = 10.0**-digits
        # In the middle of the gap, where both neighbours have room; never above the value that must pass.
        middle = (low + high) / 2 if math.isfinite(low) else high
        for candidate in (round(middle / step) * step, math.floor(high / step) * step):
            rounded = round(candidate, digits)
            if low < rounded <= high:
                return rounded
    return high


def area_under_curve(values: Floats, good: Mask, weights: Floats) -> float:
    """The chance that a good sample has a higher score than a bad one, ties counted half (AUROC); weighted.

    No number where all are good or all are bad.
    """
    _, place = np.unique(values, return_inverse=True)
    count = int(place.max(initial=-1)) + 1
    of_good, of_bad = (np.bincount(place, weights * mask, count) for mask in (good, ~good))
    below = np.concatenate([[0.0], of_bad.cumsum()[:-1]])
    pairs = of_good.sum() * of_bad.sum()
    return float((of_good * (below + of_bad / 2)).sum() / pairs) if pairs else math.nan


def rates(passed: Mask, good: Mask, weights: Floats) -> tuple[float, float]:
    """Precision and recall of what passed; no number where nothing passed, or nothing is good."""
    passed_good, all_passed, all_good = (float(weights[mask].sum()) for mask in (passed & good, passed, good))
    return passed_good / all_passed if all_passed else math.nan, passed_good / all_good if all_good else math.nan


def as_values(scores: NDArray[Any]) -> Floats:
    """Scores as float64 in which what is not a number passes nothing."""
    values: Floats = np.where(np.isnan(scores), -np.inf, scores).astype(np.float64)
    return values
