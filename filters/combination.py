"""Learns the weights of `combined`: a logistic regression in which no score may count against a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from filters.combined import CombinedConfig, CombinedTerm
from filters.operating_points import Floats, Mask

_PENALTY: Final = 1.0  # of half the squared weights of standardised scores, against the summed loss (C = 1)
_LEAST_WEIGHT: Final = 0.01  # of a standardised score; below it a score says nothing that others do not


@dataclass(frozen=True, eq=False)
class _Standard:
    """Where a score's values lie: the worst finite one stands for what is not a number."""

    center: float
    spread: float
    worst: float


def fit_combination(
    names: Sequence[str], scores: Floats, good: Mask, weights: Floats, nonnegative: bool = True
) -> CombinedConfig | None:
    """The logistic regression of the verdict on standardised scores, with an L2 penalty.

    Scores are made so that higher is better, so no weight below 0 is allowed: such a weight would only describe the
    accidents of few labels, and would let a sample pass because it is bad.

    Args:
        names: of the scores ``[k]``.
        scores: ``[n, k]``, NaN where a sample has no such score, ``-inf`` where it is not a number.
        good: ``[n]``.
        weights: ``[n]``, positive.
        nonnegative: only switched off to compare with unbounded regressions.

    Returns:
        The configuration, enabled; None when no score helps.
    """
    from scipy.optimize import minimize

    weights = weights / weights.mean()
    standards = [_standard(scores[:, column], weights) for column in range(len(names))]
    used = [column for column, standard in enumerate(standards) if standard is not None]
    if not used:
        return None
    columns = []
    for column in used:
        standard = standards[column]
        assert standard is not None
        filled = np.nan_to_num(scores[:, column], nan=standard.center, neginf=standard.worst)
        columns.append((filled - standard.center) / standard.spread)
    features, signs = np.stack(columns, axis=1), np.where(good, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slopes, bias = parameters[:-1], parameters[-1]
        margin = signs * (features @ slopes + bias)
        pull = -signs * weights / (1 + np.exp(np.clip(margin, -700, 700)))
        value = float((weights * np.logaddexp(0, -margin)).sum() + _PENALTY * (slopes**2).sum() / 2)
        return value, np.append(features.T @ pull + _PENALTY * slopes, pull.sum())

    bounds = [(0.0 if nonnegative else None, None)] * len(used) + [(None, None)]
    found = minimize(loss, np.zeros(len(used) + 1), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    terms = []
    for column, slope in zip(used, found.x[:-1], strict=True):
        standard = standards[column]
        if standard is not None and abs(slope) >= _LEAST_WEIGHT:
            weight, center = _rounded(slope / standard.spread), _rounded(standard.center)
            terms.append(CombinedTerm(score=names[column], weight=weight, center=center))
    if not terms:
        return None
    return CombinedConfig(enabled=True, threshold=0.5, bias=_rounded(found.x[-1]), terms=tuple(terms))


def _standard(values: Floats, weights: Floats) -> _Standard | None:
    """None for a score that most samples lack, or that is the same for all."""
    known = np.isfinite(values)
    if known.mean() < 0.5:
        return None
    center = float(np.average(values[known], weights=weights[known]))
    spread = float(np.sqrt(np.average((values[known] - center) ** 2, weights=weights[known])))
    return _Standard(center, spread, float(values[known].min())) if spread > 1e-9 else None


def _rounded(value: float) -> float:
    """Six significant digits: what a person can read, and more than labels can tell."""
    return float(f"{value:.6g}")
