"""Calibration: thresholds by people's verdicts, checked on what had no part in the choice."""

import numpy as np
import pytest

from filters.calibration import LEAST_OF_EACH, TOGETHER, Observations, calibrate, passes_all, probabilities
from filters.combined import COMBINED
from filters.operating_points import Target, rates

NAMES = ("clear", "faint", "noise")
RECALL = Target("recall", 0.95)


def observations(size: int = 400, seed: int = 0, audit: float = 0.3) -> Observations:
    """Verdicts on whole samples: `clear` tells much, `faint` a little, `noise` nothing."""
    rng = np.random.default_rng(seed)
    good = rng.random(size) < 0.7
    scores = rng.normal(0, 1, (size, 3)) + good[:, None] * [2.5, 0.8, 0.0]
    of_audit = rng.random(size) < audit
    weights = np.where(of_audit, 10.0, rng.integers(1, 4, size))
    return Observations(NAMES, scores, good, weights, np.arange(size), np.ones(size, bool), of_audit)


@pytest.mark.parametrize("target", [RECALL, Target("recall", 0.8), Target("precision", 0.9)])
def test_each_chosen_threshold_reaches_the_target_where_it_was_chosen(target: Target) -> None:
    found = calibrate(observations(audit=0), target, {})
    verdicts = found.chosen_on
    for column, score in enumerate(found.scores[:1]):
        assert score.threshold is not None
        told = rates(verdicts.scores[:, column] >= score.threshold, verdicts.good, verdicts.weights)
        assert told[target.kind == "recall"] >= target.value - 1e-9
    assert found.combined is not None
    passed = probabilities(verdicts, found.combined) >= found.limits[COMBINED]
    assert rates(passed, verdicts.good, verdicts.weights)[target.kind == "recall"] >= target.value - 1e-9


def test_a_score_that_tells_nothing_keeps_its_threshold_and_what_it_costs_is_told() -> None:
    found = calibrate(observations(), RECALL, {"noise": 0.5, "elsewhere": 1.0})
    noise = found.scores[2]
    assert (noise.threshold, noise.note) == (None, "tells nothing: stays")
    assert found.thresholds["noise"] == 0.5
    assert found.thresholds["elsewhere"] == 1.0
    assert noise.rates is not None
    assert noise.rates.recall < 0.5


def test_a_precision_out_of_reach_is_said_to_be() -> None:
    verdicts = observations(audit=0)
    clear = verdicts.scores[:, 0].copy()
    verdicts.scores[:, 0] = np.minimum(clear, np.median(clear[~verdicts.good]))
    found = calibrate(verdicts, Target("precision", 1.0), {"clear": -1.0})
    assert found.scores[0].note.startswith("reaches 0.")
    assert found.thresholds["clear"] == -1.0


def test_the_audit_checks_and_has_no_part_in_the_choice() -> None:
    verdicts = observations()
    found = calibrate(verdicts, RECALL, {})
    assert not found.chosen_on.audit.any()
    assert found.check is not None
    assert found.check.kind == "audit"
    turned = observations()
    turned.good[turned.audit] = ~turned.good[turned.audit]
    other = calibrate(turned, RECALL, {})
    assert other.thresholds == found.thresholds
    assert other.check is not None
    assert other.check.rates[COMBINED].precision < found.check.rates[COMBINED].precision


def test_the_check_is_about_what_the_rules_do_to_new_samples() -> None:
    found = calibrate(observations(seed=1), RECALL, {})
    assert found.check is not None
    assert found.combined is not None
    fresh = observations(20_000, seed=2)
    passed = probabilities(fresh, found.combined) >= found.limits[COMBINED]
    precision, recall = rates(passed, fresh.good, fresh.weights)
    told = found.check.rates[COMBINED]
    assert told.precision_interval.low <= precision <= told.precision_interval.high
    assert told.recall_interval.low <= recall <= told.recall_interval.high


def test_without_an_audit_every_verdict_is_judged_by_rules_it_had_no_part_in() -> None:
    found = calibrate(observations(audit=0), RECALL, {})
    assert found.check is not None
    assert found.check.kind == "cross-fitted"
    assert found.check.rates[COMBINED].good + found.check.rates[COMBINED].bad == 400
    assert found.check.rates[COMBINED].recall == pytest.approx(0.95, abs=0.04)
    fooled = observations(audit=0)
    fooled.scores[:] = np.random.default_rng(7).normal(0, 1, (400, 3))
    noise = calibrate(fooled, RECALL, {})
    all_pass, _ = rates(np.ones(400, bool), fooled.good, fooled.weights)
    assert noise.check is not None
    assert noise.check.rates[COMBINED].precision == pytest.approx(all_pass, abs=0.04)


def test_few_verdicts_choose_but_cannot_check() -> None:
    verdicts = observations(2 * LEAST_OF_EACH + 10, audit=0)
    verdicts.good[:] = np.arange(len(verdicts)) >= LEAST_OF_EACH
    verdicts.scores[:, 0] = np.where(verdicts.good, 1.0, 0.0)
    found = calibrate(verdicts, RECALL, {})
    assert found.scores[0].threshold == pytest.approx(0.5)
    assert found.check is None


def test_layers_do_not_teach_the_combination() -> None:
    verdicts = observations(audit=0)
    verdicts.whole[:] = False
    found = calibrate(verdicts, RECALL, {})
    assert found.combined is None
    assert "0 good and 0 bad verdicts on whole samples" in found.combined_note
    assert found.scores[0].threshold is not None
    # Then all thresholds together are measured on layers.
    assert found.together.good + found.together.bad == 400


def test_what_has_no_score_passes_and_what_is_no_number_does_not() -> None:
    verdicts = observations(40)
    verdicts.scores[0] = np.nan
    verdicts.scores[1] = -np.inf
    passed = passes_all(verdicts, dict.fromkeys(NAMES, -100.0))
    assert passed[0]
    assert not passed[1]
    assert passed[2:].all()


def test_all_thresholds_together_are_measured_on_samples() -> None:
    verdicts = observations(audit=0)
    verdicts.whole[:100] = False
    found = calibrate(verdicts, RECALL, {})
    assert found.together.good + found.together.bad == 300
    assert found.check is not None
    assert found.check.rates[TOGETHER].good + found.check.rates[TOGETHER].bad == 300
