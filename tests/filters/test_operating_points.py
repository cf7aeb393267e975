"""Thresholds reach what was asked for and lose no more than they must; weights stand for what nobody looked at."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import precision_recall_curve as sklearn_curve
from sklearn.metrics import roc_auc_score

from filters.operating_points import (
    Floats,
    Mask,
    Target,
    area_under_curve,
    choose_threshold,
    precision_recall_curve,
    rates,
    shortest_between,
)

Labels = tuple[Floats, Mask, Floats]


@st.composite
def labels(draw: st.DrawFn) -> Labels:
    """Scores with ties, verdicts of both kinds, weights of 1…20."""
    size = draw(st.integers(4, 60))
    values = draw(hnp.arrays(np.int64, size, elements=st.integers(-20, 20))) / 7
    good = draw(hnp.arrays(np.bool_, size))
    assume(good.any() and not good.all())
    weights = draw(hnp.arrays(np.int64, size, elements=st.integers(1, 20))).astype(float)
    return values, good, weights


TARGETS = st.builds(Target, st.sampled_from(["precision", "recall"]), st.floats(0.01, 1.0))


@given(labels(), TARGETS)
def test_the_chosen_threshold_reaches_the_target_on_the_data_it_was_chosen_on(found: Labels, target: Target) -> None:
    values, good, weights = found
    threshold = choose_threshold(precision_recall_curve(values, good, weights), target)
    every = [rates(values >= value, good, weights) for value in np.unique(values)]
    best = max(rate[0 if target.kind == "precision" else 1] for rate in every)
    if threshold is None:
        assert best < target.value
        return
    precision, recall = rates(values >= threshold, good, weights)
    if target.kind == "precision":
        assert precision >= target.value - 1e-9
        assert recall == pytest.approx(max(rate[1] for rate in every if rate[0] >= target.value - 1e-12))
    else:
        assert recall >= target.value - 1e-9
        assert precision == pytest.approx(max(rate[0] for rate in every if rate[1] >= target.value - 1e-12))


@given(labels())
def test_the_curve_is_that_of_scikit_learn(found: Labels) -> None:
    values, good, weights = found
    curve = precision_recall_curve(values, good, weights)
    precision, recall, thresholds = sklearn_curve(good, values, sample_weight=weights)
    assert np.allclose(curve.thresholds, thresholds)
    assert np.allclose(curve.precision, precision[:-1])
    assert np.allclose(curve.recall, recall[:-1])


@given(labels())
def test_the_area_is_that_of_scikit_learn(found: Labels) -> None:
    values, good, weights = found
    assert area_under_curve(values, good, weights) == pytest.approx(roc_auc_score(good, values, sample_weight=weights))


def test_what_is_not_a_number_passes_no_threshold_and_counts_against_recall() -> None:
    values, good = np.array([-np.inf, 0.2, 0.8]), np.array([True, False, True])
    curve = precision_recall_curve(values, good, np.ones(3))
    assert curve.thresholds.tolist() == [0.2, 0.8]
    assert curve.recall.tolist() == [0.5, 0.5]
    assert choose_threshold(curve, Target("recall", 0.9)) is None


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_a_short_number_lies_between_its_neighbours(low: float, gap: float) -> None:
    assume(low + gap > low)
    found = shortest_between(low, low + gap)
    assert low < found <= low + gap


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.4312, 0.4387, 0.435), (0.1, 0.9, 0.5), (-math.inf, 0.3777, 0.37), (-0.3, -0.1, -0.2)],
)
def test_a_threshold_is_short_enough_to_be_read(low: float, high: float, expected: float) -> None:
    assert shortest_between(low, high) == pytest.approx(expected)


def test_weights_recover_the_rates_of_the_population_from_a_biased_sample() -> None:
    """A reviewer sees all low scores and few high ones; known inclusion probabilities make good for it."""
    rng = np.random.default_rng(5)
    size = 200_000
    values = rng.normal(0, 1, size)
    good = rng.random(size) < 1 / (1 + np.exp(-2 * values - 1))
    true_precision, true_recall = rates(values >= 0.2, good, np.ones(size))
    estimates, unweighted = [], []
    for _ in range(40):
        inclusion = np.where(values < 0, 0.05, 0.005)
        seen = rng.random(size) < inclusion
        part = values[seen] >= 0.2, good[seen]
        estimates.append(rates(*part, 1 / inclusion[seen]))
        unweighted.append(rates(*part, np.ones(int(seen.sum()))))
    precision, recall = np.mean(estimates, axis=0)
    assert precision == pytest.approx(true_precision, abs=0.01)
    assert recall == pytest.approx(true_recall, abs=0.01)
    assert abs(np.mean(unweighted, axis=0)[1] - true_recall) > 0.2
