"""The logistic combination: scikit-learn's without bounds, and never a weight against a sample."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from filters.combination import fit_combination
from filters.combined import CombinedConfig, combined_probability

NAMES = ("a", "b", "c")


def labelled(size: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`a` tells much, `b` a little, `c` the opposite of the truth; weights of 1…4."""
    rng = np.random.default_rng(seed)
    good = rng.random(size) < 0.7
    scores = rng.normal(0, 1, (size, 3)) * [1, 0.2, 3] + good[:, None] * [1.5, 0.1, -1.0] + [0, 5, 0]
    return scores, good, rng.integers(1, 5, size).astype(float)


def weights_of(found: CombinedConfig | None) -> dict[str, float]:
    assert found is not None
    return {term.score: term.weight for term in found.terms}


def test_without_bounds_it_is_the_regression_of_scikit_learn() -> None:
    scores, good, weights = labelled()
    found = fit_combination(NAMES, scores, good, weights, nonnegative=False)
    center = np.average(scores, axis=0, weights=weights)
    spread = np.sqrt(np.average((scores - center) ** 2, axis=0, weights=weights))
    expected = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    expected.fit((scores - center) / spread, good, sample_weight=weights / weights.mean())
    assert found is not None
    assert [weights_of(found)[name] for name in NAMES] == pytest.approx((expected.coef_[0] / spread).tolist(), rel=1e-3)
    assert found.bias == pytest.approx(float(expected.intercept_[0]), rel=1e-3)


def test_no_score_counts_against_a_sample() -> None:
    found = weights_of(fit_combination(NAMES, *labelled()))
    assert set(found) == {"a", "b"}
    assert min(found.values()) > 0


def test_the_probability_is_calibrated_where_the_model_is_true() -> None:
    scores, good, weights = labelled(20_000)
    found = fit_combination(("a", "b"), scores[:, :2], good, weights)
    assert found is not None
    told = np.array([combined_probability(found, dict(zip("ab", row, strict=True))) for row in scores[:, :2]])
    for low in (0.2, 0.5, 0.8):
        among = (told >= low) & (told < low + 0.1)
        assert good[among].mean() == pytest.approx(told[among].mean(), abs=0.06)


def test_scores_that_some_samples_lack_are_learned_from_the_others() -> None:
    scores, good, weights = labelled()
    scores[::3, 0] = np.nan
    scores[1, 0] = -np.inf
    assert weights_of(fit_combination(NAMES, scores, good, weights))["a"] > 0.5


def test_scores_that_are_rare_or_all_alike_are_left_out() -> None:
    scores, good, weights = labelled()
    scores[: 3 * len(scores) // 5, 0] = np.nan
    scores[:, 1] = 1.0
    assert fit_combination(("a", "b"), scores[:, :2], good, weights) is None
