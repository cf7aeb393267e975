"""The combined score: closed form over stored rows, nothing without them."""

import json
import math

import pytest
from pydantic import ValidationError

from filters.combined import CombinedConfig, CombinedTerm, combined_scores, worst_scores
from filters.config import FiltersConfig
from layered.scores import WHOLE_IMAGE, Score

CONFIG = CombinedConfig(
    enabled=True,
    bias=0.4,
    terms=(
        CombinedTerm(score="clip_layer", weight=8.0, center=0.3),
        CombinedTerm(score="clip_whole", weight=2.0, center=0.25),
    ),
)


def rows(**values: list[float]) -> list[Score]:
    return [Score("s1", layer, name, value) for name, found in values.items() for layer, value in enumerate(found)]


def test_the_worst_layer_counts() -> None:
    assert worst_scores(rows(clip_layer=[0.4, 0.2, 0.9], other=[1.0])) == {"clip_layer": 0.2, "other": 1.0}
    assert worst_scores(rows(clip_layer=[0.4, math.nan])) == {"clip_layer": -math.inf}


def test_the_formula() -> None:
    (found,) = combined_scores(CONFIG, [*rows(clip_layer=[0.4, 0.2]), Score("s1", -1, "clip_whole", 0.35)])
    assert (found.sample_id, found.layer_index, found.name) == ("s1", WHOLE_IMAGE, "combined")
    assert found.score == pytest.approx(1 / (1 + math.exp(-(0.4 + 8 * (0.2 - 0.3) + 2 * (0.35 - 0.25)))))


def test_a_score_that_a_sample_lacks_adds_nothing() -> None:
    (found,) = combined_scores(CONFIG, rows(clip_layer=[0.3]))
    assert found.score == pytest.approx(1 / (1 + math.exp(-0.4)))


def test_without_any_of_its_scores_or_switched_off_there_is_no_row() -> None:
    assert combined_scores(CONFIG, rows(other=[1.0])) == ()
    assert combined_scores(CONFIG, []) == ()
    assert combined_scores(CONFIG.model_copy(update={"enabled": False}), rows(clip_layer=[0.3])) == ()


def test_what_is_not_a_number_is_as_bad_as_can_be() -> None:
    (found,) = combined_scores(CONFIG, rows(clip_layer=[math.nan]))
    assert found.score < 1e-100


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled": True},
        {"enabled": True, "terms": [{"score": "clip_leyer", "weight": 1.0, "center": 0.0}]},
        {"terms": [{"score": "clip_layer", "weight": 1.0}]},
        {"terms": [{"score": "clip_layer", "weight": 1.0, "center": 0.0}] * 2},
        {"terms": [{"score": "combined", "weight": 1.0, "center": 0.0}]},
    ],
)
def test_a_combination_of_nothing_or_of_unknown_scores_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FiltersConfig.model_validate_json(json.dumps({"combined": wrong}))


def test_it_is_configured_as_the_other_scores_are() -> None:
    section = CONFIG.model_dump(mode="json")
    assert FiltersConfig.model_validate_json(json.dumps({"combined": section})).thresholds()["combined"] == 0.5
    assert "combined" not in FiltersConfig().thresholds()
