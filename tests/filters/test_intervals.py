"""Intervals hold the true rate about as often as they say, weighted or not."""

import numpy as np
import pytest
from scipy.stats import binomtest

from filters.intervals import Interval, bootstrap_areas, measured_rates, wilson
from filters.operating_points import area_under_curve


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (7, 10), (10, 10), (480, 500)])
def test_wilsons_interval_is_that_of_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_nothing_known_is_any_rate() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)


def test_equal_weights_on_different_samples_take_wilsons_interval() -> None:
    passed, good = np.arange(40) < 30, np.arange(40) % 10 > 0
    found = measured_rates(passed, good, np.full(40, 4.0), np.arange(40))
    assert (found.good, found.bad, found.rejected_good, found.rejected_bad) == (36, 4, 9, 1)
    assert found.precision == pytest.approx(27 / 30)
    assert found.precision_interval == wilson(27, 30)
    assert found.recall_interval == wilson(27, 36)


def test_verdicts_on_one_sample_do_not_make_an_interval_narrower() -> None:
    rng = np.random.default_rng(0)
    passed, good = np.ones(40, bool), rng.random(40) < 0.7
    once = measured_rates(passed, good, np.ones(40), np.arange(40)).precision_interval
    copied = measured_rates(np.tile(passed, 9), np.tile(good, 9), np.ones(360), np.tile(np.arange(40), 9))
    width = copied.precision_interval.high - copied.precision_interval.low
    assert width == pytest.approx(once.high - once.low, rel=0.2)


def test_the_bootstrap_covers_the_true_rate_of_a_weighted_sample() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        inclusion = rng.choice([0.1, 0.5], 300)
        good = rng.random(300) < np.where(inclusion < 0.3, 0.9, 0.5)
        found = measured_rates(np.ones(300, bool), good, 1 / inclusion, np.arange(300))
        truth = (0.9 * 10 + 0.5 * 2) / 12
        covered += found.precision_interval.low <= truth <= found.precision_interval.high
    assert covered >= 51  # 57 expected of 60


def test_a_weighted_rate_of_one_is_not_taken_for_certain() -> None:
    found = measured_rates(np.ones(20, bool), np.ones(20, bool), np.arange(1.0, 21.0), np.arange(20))
    assert found.precision == 1
    assert 0.7 < found.precision_interval.low < 0.9


def test_the_interval_of_an_area_holds_it_and_tells_noise_from_knowledge() -> None:
    rng = np.random.default_rng(2)
    good = rng.random(200) < 0.6
    weights = rng.integers(1, 5, 200).astype(float)
    for values, tells in ((good + rng.normal(0, 1, 200), True), (rng.normal(0, 1, 200), False)):
        found = bootstrap_areas(values, good, weights, np.arange(200))
        assert found.low < area_under_curve(values, good, weights) < found.high
        assert (found.low > 0.5) is tells
