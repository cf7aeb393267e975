"""The Fréchet distance of two sets of features (Heusel et al., arXiv 1706.08500)."""

from __future__ import annotations

from typing import Final

import numpy as np

from evaluation.intervals import Floats

TIMES_DIMENSIONS: Final = 4
"""Pictures per dimension of the features below which covariances are too uncertain for a distance to mean anything."""


def enough_for_frechet(pictures: int, dimensions: int) -> bool:
    """Whether a set is large enough for a Fréchet distance to be reported."""
    return pictures >= TIMES_DIMENSIONS * dimensions


def frechet_distance(one: Floats, other: Floats) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of features ``[n, dim]`` and ``[m, dim]``."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    difference = one.mean(0) - other.mean(0)
    first, second = np.atleast_2d(np.cov(one.T)), np.atleast_2d(np.cov(other.T))
    # The root's trace is the sum of the roots of Σ₁^½ Σ₂ Σ₁^½'s eigenvalues, which is symmetric and so has real ones.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    common = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    return float(difference @ difference + np.trace(first) + np.trace(second) - 2 * common)
