"""Intervals hold the truth about as often as they say, also where designs come in clusters."""

import numpy as np
import pytest

from evaluation.intervals import Rate, mean_rate, share_estimate


def test_a_rate_counts_over_all_designs_and_its_interval_holds_it() -> None:
    rate = Rate([1, 0, 3], [2, 4, 4]).as_json()
    assert rate["value"] == 0.4
    assert rate["interval"][0] < 0.4 < rate["interval"][1]
    assert Rate([2, 1], [2, 1]).as_json()["interval"] == [1, 1]


def test_nothing_has_no_rate() -> None:
    with pytest.raises(ValueError, match="a total above 0"):
        Rate([0, 0], [0, 0]).estimate()


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = mean_rate(values.tolist()).estimate()
    half = 1.96 * values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)


def test_equal_designs_of_a_cluster_make_nothing_surer() -> None:
    values = np.random.default_rng(1).normal(size=50)
    once = mean_rate(values.tolist()).estimate()
    thrice = mean_rate(np.repeat(values, 3).tolist(), np.repeat(np.arange(50), 3).tolist()).estimate()
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx((once.value, once.low, once.high))


@pytest.mark.parametrize("size", [1, 4])
def test_about_nineteen_of_twenty_intervals_hold_the_truth(size: int) -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        of_clusters = rng.normal(size=40)
        values = np.repeat(of_clusters, size) + rng.normal(size=40 * size)
        found = mean_rate(values.tolist(), np.repeat(np.arange(40), size).tolist()).estimate()
        held += found.low < 0 < found.high
    assert 178 <= held <= 199


def test_a_share_of_nothing_or_all_is_not_certain() -> None:
    found = share_estimate(mean_rate([1, 1, 1, 1], ["a", "a", "b", "b"]))
    assert found.value == found.high == 1
    assert 0.3 < found.low < 0.4  # Wilson's, for two trials
    assert share_estimate(mean_rate([0, 0, 0])).high > 0.5
    assert share_estimate(mean_rate([0, 1, 1])) == mean_rate([0, 1, 1]).estimate()
