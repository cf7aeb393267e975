"""Thresholds chosen together: false alarms are spent where they find most, and never more than are allowed."""

import numpy as np
import pytest

from benchmarks.filter_cases import SOUND
from benchmarks.filter_thresholds import PHOTOGRAPHED, joint_thresholds
from filters.artifacts import ARTIFACT_SCORES

COUNT = 200


def scored(rng: np.random.Generator) -> tuple[list[dict[str, float]], list[str]]:
    """Sound samples, halos that their score finds in part, and blur that its score hardly knows from sound."""
    scores, kinds = [], []
    for kind in (SOUND, "halo", "blur"):
        for _ in range(COUNT):
            row = dict.fromkeys(ARTIFACT_SCORES, 1.0)
            row["artifact_halo"] = rng.uniform(0, 0.4) if kind == "halo" else rng.uniform(0.3, 0.8)
            row["artifact_blur"] = rng.uniform(0, 0.5)
            scores.append(row)
            kinds.append(kind)
    return scores, kinds


def caught(scores: list[dict[str, float]], kinds: list[str], thresholds: dict[str, float], kind: str) -> float:
    return float(np.mean([
        any(each[name] < thresholds[name] for name in ARTIFACT_SCORES)
        for each, own in zip(scores, kinds, strict=True) if own == kind
    ]))  # fmt: skip


@pytest.mark.parametrize("allowed", [0.02, 0.1])
def test_false_alarms_stay_within_what_is_allowed_and_go_to_the_score_that_knows(allowed: float) -> None:
    scores, kinds = scored(np.random.default_rng(1))
    thresholds = joint_thresholds(scores, kinds, np.zeros(3 * COUNT, bool), allowed)
    assert caught(scores, kinds, thresholds, SOUND) <= allowed
    assert caught(scores, kinds, thresholds, "halo") > 0.7
    assert thresholds["artifact_halo"] > 0.3
    assert thresholds["artifact_blur"] < 0.1


def test_more_false_alarms_find_more() -> None:
    scores, kinds = scored(np.random.default_rng(2))
    few, many = (joint_thresholds(scores, kinds, np.zeros(3 * COUNT, bool), part) for part in (0.02, 0.2))
    assert caught(scores, kinds, many, "halo") > caught(scores, kinds, few, "halo")


def test_what_other_filters_flag_is_neither_paid_for_nor_found_again() -> None:
    scores, kinds = scored(np.random.default_rng(3))
    halos = np.array([kind == "halo" for kind in kinds])
    alarms = np.arange(3 * COUNT) < COUNT // 10
    spent = joint_thresholds(scores, kinds, halos | alarms, 0.1)
    rest = [each for each, alarm in zip(scores, alarms, strict=True) if not alarm]
    rest_kinds = [kind for kind, alarm in zip(kinds, alarms, strict=True) if not alarm]
    assert caught(rest, rest_kinds, spent, SOUND) == 0


def test_a_score_without_any_doubt_flags_nothing() -> None:
    scores, kinds = scored(np.random.default_rng(4))
    thresholds = joint_thresholds(scores, kinds, np.zeros(3 * COUNT, bool), 0.5)
    assert all(value <= 0.9 for value in thresholds.values())


def test_photographs_have_a_budget_of_their_own() -> None:
    scores, kinds = scored(np.random.default_rng(5))
    rng = np.random.default_rng(6)
    for _ in range(COUNT):
        scores.append(dict.fromkeys(ARTIFACT_SCORES, 1.0) | {"artifact_halo": rng.uniform(0.1, 0.5)})
        kinds.append(PHOTOGRAPHED)
    others = np.array([kind == PHOTOGRAPHED for kind in kinds]) & (np.arange(4 * COUNT) < 3 * COUNT + 10)
    free, held = (joint_thresholds(scores, kinds, others, 0.1, part) for part in (1.0, 0.05))
    assert caught(scores, kinds, free, PHOTOGRAPHED) > 0.3
    beside = [(row, kind) for row, kind, other in zip(scores, kinds, others, strict=True) if not other]
    assert caught([row for row, _ in beside], [kind for _, kind in beside], held, PHOTOGRAPHED) <= 0.055
    assert caught(scores, kinds, held, SOUND) <= 0.1
