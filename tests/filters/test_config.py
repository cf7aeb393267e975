"""The `filters` section: every score has its entry, and entries decide which filters run."""

import json

import pytest
from pydantic import ValidationError

from filters.alpha import ALPHA_SCORES, AlphaChecks
from filters.clip_alignment import CLIP_SCORES, ClipAlignment
from filters.config import FiltersConfig
from filters.registry import build_filters


def config(**sections: object) -> FiltersConfig:
    return FiltersConfig.model_validate_json(json.dumps(sections))


def test_every_score_that_a_filter_gives_has_a_threshold() -> None:
    assert set(FiltersConfig().thresholds()) == {*ALPHA_SCORES, *CLIP_SCORES}


def test_a_threshold_is_set_by_name() -> None:
    assert config(clip_margin={"threshold": 0.3}).thresholds()["clip_margin"] == 0.3


def test_a_score_that_is_switched_off_flags_nothing() -> None:
    off = config(alpha_cut={"threshold": 0.5, "enabled": False})
    assert set(FiltersConfig().thresholds()) - set(off.thresholds()) == {"alpha_cut"}


def test_lists_are_read_inside_sections() -> None:
    assert config(clip={"negatives": ["a dog", "a cat"]}).clip.negatives == ("a dog", "a cat")


def test_a_score_without_a_threshold_is_recorded_and_flags_nothing() -> None:
    recorded = config(**{name: {"threshold": None} for name in ALPHA_SCORES})
    assert set(recorded.thresholds()) == set(CLIP_SCORES)
    assert [type(each) for each in build_filters(recorded)] == [AlphaChecks, ClipAlignment]


def test_a_filter_runs_while_one_of_its_scores_is_wanted() -> None:
    def without(*names: str) -> list[type]:
        off = config(**{name: {"threshold": 0, "enabled": False} for name in names})
        return [type(each) for each in build_filters(off)]

    assert without() == [AlphaChecks, ClipAlignment]
    assert without(*ALPHA_SCORES[1:]) == [AlphaChecks, ClipAlignment]
    assert without(*CLIP_SCORES) == [AlphaChecks]
    assert without(*ALPHA_SCORES, *CLIP_SCORES) == []


@pytest.mark.parametrize("wrong", [{"clip_margin": {"treshold": 1}}, {"clip_layer": {"threshold": "x"}}, {"clipp": {}}])
def test_what_is_not_a_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config(**wrong)
