"""How sure a measured mean or share is: the bootstrap over designs (Efron 1979)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.intervals import wilson

REPLICATES: Final = 2000
TAILS: Final = (2.5, 97.5)
"""Percentiles of a 95 % interval."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with both ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Rate:
    """A part of a whole that was counted design by design.

    Attributes:
        counts, totals: per design, the part and the whole.
        clusters: per design, what it shares with others, such as its brief: those of a cluster are drawn together.
            Empty where every design stands for itself.
    """

    counts: Sequence[float]
    totals: Sequence[float]
    clusters: Sequence[Hashable] = ()

    def estimate(self) -> Estimate:
        """The sum of the counts over the sum of the totals. Raises ValueError when nothing was counted."""
        counts, totals = np.array(self.counts, float), np.array(self.totals, float)
        if totals.sum() == 0:
            raise ValueError("nothing was counted: a rate needs a total above 0")
        if self.clusters:
            numbers = cluster_numbers(self.clusters)
            counts, totals = np.bincount(numbers, counts), np.bincount(numbers, totals)
        draws = drawn(len(counts))
        low, high = interval_of(counts[draws].sum(1), totals[draws].sum(1))
        return Estimate(float(counts.sum() / totals.sum()), low, high)

    def as_json(self) -> dict[str, Any]:
        """The rate with its 95 % interval."""
        found = self.estimate()
        return {"value": round(found.value, 4), "interval": [round(found.low, 4), round(found.high, 4)]}


def share_estimate(rate: Rate) -> Estimate:
    """The estimate of a share in 0…1. One of 0 or 1, which every replicate would repeat, has Wilson's interval, for as
    many trials as there are clusters."""
    found = rate.estimate()
    if found.value not in (0.0, 1.0):
        return found
    trials = len(set(rate.clusters)) or len(rate.counts)
    interval = wilson(found.value * trials, trials)
    return Estimate(found.value, interval.low, interval.high)


def mean_rate(values: Sequence[float], clusters: Sequence[Hashable] = ()) -> Rate:
    """The mean of one value per design, as a rate."""
    return Rate(values, [1.0] * len(values), clusters)


def cluster_numbers(clusters: Sequence[Hashable]) -> NDArray[np.intp]:
    """For each design the number of its cluster, counted from 0 in the order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], np.intp)


def drawn(count: int) -> NDArray[np.int64]:
    """Which of `count` designs each replicate draws, ``[replicates, count]``; always the same."""
    return np.random.default_rng(0).integers(count, size=(REPLICATES, count))


def interval_of(parts: Floats, wholes: Floats) -> tuple[float, float]:
    """The 95 % interval of a ratio from its replicates; those that drew nothing to count do not count."""
    counted = wholes > 0
    low, high = np.percentile(parts[counted] / wholes[counted], TAILS)
    return float(low), float(high)
