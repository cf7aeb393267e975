"""How sure a measured rate is: Wilson's interval for plain counts, the bootstrap over samples for weighted ones."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from filters.operating_points import Floats, Mask, rates

CONFIDENCE: Final = 0.95
_Z: Final = 1.959963984540054  # of the standard normal distribution, at this confidence
_REPLICATES: Final = 1000
_AREA_REPLICATES: Final = 400
_NUMBERS_AT_ONCE: Final = 4_000_000
_MOST_DRAWS: Final = 50_000_000


@dataclass(frozen=True)
class Interval:
    """Both ends of a 95 % interval, in 0…1."""

    low: float
    high: float


@dataclass(frozen=True)
class Rates:
    """What a rule does to labelled samples.

    Attributes:
        good, bad: verdicts it was measured on.
        rejected_good, rejected_bad: those that it rejects.
        precision, recall: weighted; no number where nothing passes or nothing is good.
    """

    good: int
    bad: int
    rejected_good: int
    rejected_bad: int
    precision: float
    recall: float
    precision_interval: Interval
    recall_interval: Interval


def wilson(successes: float, trials: float) -> Interval:
    """Wilson's score interval for a rate (Wilson 1927): sound for small numbers and for rates of 0 and 1."""
    if trials <= 0:
        return Interval(0.0, 1.0)
    rate, spread = successes / trials, _Z**2 / trials
    center = (rate + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials)) / (1 + spread)
    return Interval(max(0.0, center - half), min(1.0, center + half))


def measured_rates(passed: Mask, good: Mask, weights: Floats, samples: np.ndarray) -> Rates:
    """Precision and recall with their intervals.

    Wilson's interval where every verdict counts alike and stands for another sample. Otherwise samples are drawn again
    with replacement, all verdicts of a sample together; a rate of 0 or 1, which every such draw repeats, takes Wilson's
    interval at the effective number of verdicts (Kish 1965).

    Args:
        passed, good: ``[n]``.
        weights: ``[n]``, positive.
        samples: ``[n]``, a number for each verdict's sample.
    """
    precision, recall = rates(passed, good, weights)
    plain = bool(np.ptp(weights) <= 1e-9 * weights.max()) if len(weights) else True
    drawn = None
    if not (plain and len(np.unique(samples)) == len(samples)):
        drawn = _bootstrap(passed, good, weights, samples)
    intervals = [
        _interval(rate, weights[among], None if drawn is None else drawn[:, column])
        for column, (rate, among) in enumerate(((precision, passed), (recall, good)))
    ]
    return Rates(
        int(good.sum()),
        int((~good).sum()),
        int((good & ~passed).sum()),
        int((~good & ~passed).sum()),
        precision,
        recall,
        *intervals,
    )


def _interval(rate: float, weights: Floats, drawn: Floats | None) -> Interval:
    if math.isnan(rate):
        return Interval(0.0, 1.0)
    if drawn is None or rate in (0.0, 1.0):
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        return wilson(rate * effective, effective)
    low, high = np.nanquantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def precision_bands(values: Floats, good: Mask, weights: Floats, samples: np.ndarray, thresholds: Floats) -> Floats:
    """The interval of the precision at each of some thresholds ``[t, 2]``, samples drawn with replacement."""
    passed = values[:, None] >= thresholds
    columns = np.concatenate([passed & good[:, None], passed], axis=1)
    drawn = _drawn_sums(columns * weights[:, None], samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = drawn[:, : len(thresholds)] / drawn[:, len(thresholds) :]
    bands: Floats = np.nanquantile(precision, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0).T
    return bands


def _bootstrap(passed: Mask, good: Mask, weights: Floats, samples: np.ndarray) -> Floats:
    """Precision and recall ``[replicates, 2]`` of samples drawn with replacement; the same draws at every call."""
    columns = np.stack([passed & good, passed, good], axis=1)
    passed_good, all_passed, all_good = _drawn_sums(columns * weights[:, None], samples).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([passed_good / all_passed, passed_good / all_good], axis=1)


def bootstrap_areas(values: Floats, good: Mask, weights: Floats, samples: np.ndarray) -> Interval:
    """The interval of `area_under_curve`, samples drawn with replacement."""
    _, place = np.unique(samples, return_inverse=True)
    order = np.argsort(values, kind="stable")
    ties = np.concatenate([[0], np.flatnonzero(np.diff(values[order]) != 0) + 1])
    draws = _draws(int(place.max()) + 1)[:_AREA_REPLICATES]
    chunk = max(1, _NUMBERS_AT_ONCE // len(values))
    areas = []
    for start in range(0, len(draws), chunk):
        drawn = draws[start : start + chunk][:, place[order]] * weights[order]
        of_good, of_bad = (np.add.reduceat(drawn * mask[order], ties, axis=1) for mask in (good, ~good))
        below = of_bad.cumsum(axis=1) - of_bad
        with np.errstate(divide="ignore", invalid="ignore"):
            areas.append((of_good * (below + of_bad / 2)).sum(1) / (of_good.sum(1) * of_bad.sum(1)))
    low, high = np.nanquantile(np.concatenate(areas), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _drawn_sums(columns: Floats, samples: np.ndarray) -> Floats:
    """Sums over verdicts ``[n, m]`` when their samples are drawn with replacement: ``[replicates, m]``."""
    _, place = np.unique(samples, return_inverse=True)
    count = int(place.max()) + 1
    sums = np.stack([np.bincount(place, column, count) for column in columns.T], axis=1)
    draws = _draws(count)
    chunk = max(1, _NUMBERS_AT_ONCE // count)
    return np.concatenate([draws[start : start + chunk] @ sums for start in range(0, len(draws), chunk)])


@functools.lru_cache(maxsize=8)
def _draws(count: int) -> NDArray[np.uint8]:
    """How often each of `count` samples is drawn, ``[replicates, count]``; always the same draws.

    Of very many samples fewer draws are enough: their intervals are narrow.
    """
    rng = np.random.default_rng(0)
    replicates = min(_REPLICATES, max(_AREA_REPLICATES, _MOST_DRAWS // count))
    draws = np.empty((replicates, count), np.uint8)
    for row in draws:
        row[:] = np.bincount(rng.integers(0, count, count), minlength=count)
    return draws
