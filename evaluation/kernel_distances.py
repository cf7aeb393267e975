"""Distances of two sets of pictures by kernels: KID (Bińkowski et al., arXiv 1801.01401) and CMMD (arXiv 2401.09603).

Both are the squared maximum mean discrepancy of features, and both are estimated without bias: 0 on average for equal
distributions, so that they may be below 0. Pictures of one brief are not independent of each other, neither in one set
nor across the sets, so pairs of pictures of one brief are never compared. Where each brief has one picture in each set,
this is the unbiased estimate of Gretton et al. 2012, equation 4.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final

import numpy as np

from evaluation.intervals import TAILS, Estimate, Floats, cluster_numbers, drawn

CMMD_SIGMA: Final = 10.0
CMMD_SCALE: Final = 1000.0
"""As CMMD is reported by its authors."""

Kernel = Callable[[Floats, Floats], Floats]
"""Values ``[n, m]`` for features ``[n, dim]`` and ``[m, dim]``."""


def polynomial(one: Floats, other: Floats) -> Floats:
    """KID's kernel: the third power of the mean product of features, plus 1."""
    values: Floats = (one @ other.T / one.shape[1] + 1) ** 3
    return values


def gaussian(one: Floats, other: Floats) -> Floats:
    """CMMD's kernel over unit vectors, with its authors' σ = 10."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    values: Floats = np.exp(-squares / (2 * CMMD_SIGMA**2))
    return values


def kid(one: Floats, one_briefs: Sequence[Hashable], other: Floats, other_briefs: Sequence[Hashable]) -> Estimate:
    """The kernel inception distance of features ``[n, dim]`` and ``[m, dim]``, whichever network they come from.

    Args:
        one_briefs, other_briefs: what each picture shows; pairs of one brief are left out.

    Raises:
        ValueError: when a set has pictures of fewer than two briefs.
    """
    return discrepancy(polynomial, one, one_briefs, other, other_briefs)


def cmmd(one: Floats, one_briefs: Sequence[Hashable], other: Floats, other_briefs: Sequence[Hashable]) -> Estimate:
    """CLIP's maximum mean discrepancy of unit vectors ``[n, dim]`` and ``[m, dim]``, times 1,000. Else as `kid`."""
    found = discrepancy(gaussian, one, one_briefs, other, other_briefs)
    return Estimate(CMMD_SCALE * found.value, CMMD_SCALE * found.low, CMMD_SCALE * found.high)


def discrepancy(
    kernel: Kernel, one: Floats, one_briefs: Sequence[Hashable], other: Floats, other_briefs: Sequence[Hashable]
) -> Estimate:
    """The unbiased squared discrepancy with its interval, by the bootstrap over briefs. Raises as `kid`.

    A brief that is drawn twice counts twice, but is still not compared with itself: otherwise every replicate would be
    biased by pairs of equal pictures.
    """
    for briefs in (one_briefs, other_briefs):
        if len(set(briefs)) < 2:
            raise ValueError(f"a kernel distance needs pictures of at least two briefs, not of {len(set(briefs))}")
    groups = cluster_numbers([*one_briefs, *other_briefs])
    of_one, of_other = groups[: len(one_briefs)], groups[len(one_briefs) :]
    count = int(groups.max()) + 1
    one, other = one.astype(np.float64), other.astype(np.float64)
    within_one = _Pairs(kernel(one, one), of_one, of_one, count)
    within_other = _Pairs(kernel(other, other), of_other, of_other, count)
    across = _Pairs(kernel(one, other), of_one, of_other, count)

    def estimated(weights: Floats) -> Floats:
        values: Floats = within_one.mean(weights) + within_other.mean(weights) - 2 * across.mean(weights)
        return values

    draws = np.stack([np.bincount(draw, minlength=count) for draw in drawn(count)]).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = estimated(draws)
    low, high = np.nanpercentile(replicates, TAILS)
    return Estimate(float(estimated(np.ones((1, count)))[0]), float(low), float(high))


class _Pairs:
    """Sums of a kernel's values over the pairs of two different briefs, and how many pairs there are."""

    def __init__(self, values: Floats, rows: np.ndarray, columns: np.ndarray, count: int) -> None:
        left, right = np.eye(count)[rows], np.eye(count)[columns]
        self._sums = left.T @ values @ right
        self._counts = np.outer(left.sum(0), right.sum(0))
        np.fill_diagonal(self._sums, 0)
        np.fill_diagonal(self._counts, 0)

    def mean(self, weights: Floats) -> Floats:
        """The mean value for how often each brief is drawn, ``[replicates, briefs]``."""
        parts = ((weights @ self._sums) * weights).sum(1)
        wholes = ((weights @ self._counts) * weights).sum(1)
        means: Floats = parts / wholes
        return means
