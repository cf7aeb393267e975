"""The `filters` section: every score has its entry, and entries decide which filters run."""

import json

import pytest
from pydantic import ValidationError

from filters.aesthetics import AESTHETIC, Aesthetics
from filters.alpha import ALPHA_SCORES, AlphaChecks
from filters.artifacts import ARTIFACT_SCORES, ArtifactClassifier
from filters.clip_alignment import CLIP_SCORES, ClipAlignment
from filters.combined import COMBINED
from filters.composition import COMPOSITION_SCORES, Composition
from filters.config import FiltersConfig
from filters.recomposition import RECOMPOSITION, Recomposition
from filters.registry import build_filters
from filters.safety import SAFETY, Safety


def config(**sections: object) -> FiltersConfig:
    return FiltersConfig.model_validate_json(json.dumps(sections))


def test_every_score_that_a_filter_gives_has_a_threshold() -> None:
    config = FiltersConfig()
    given = {*ALPHA_SCORES, *ARTIFACT_SCORES, *CLIP_SCORES, *COMPOSITION_SCORES, AESTHETIC, SAFETY, RECOMPOSITION}
    assert set(config.scores()) == {*given, COMBINED}
    assert set(config.scores()) - config.enabled() == {AESTHETIC, SAFETY, COMBINED}
    assert set(config.thresholds()) == config.enabled()


def test_a_threshold_is_set_by_name() -> None:
    assert config(clip_margin={"threshold": 0.3}).thresholds()["clip_margin"] == 0.3


def test_a_score_that_is_switched_off_flags_nothing() -> None:
    off = config(alpha_cut={"threshold": 0.5, "enabled": False})
    assert set(FiltersConfig().thresholds()) - set(off.thresholds()) == {"alpha_cut"}


def test_lists_are_read_inside_sections() -> None:
    assert config(clip={"negatives": ["a dog", "a cat"]}).clip.negatives == ("a dog", "a cat")


def test_a_score_without_a_threshold_is_recorded_and_flags_nothing() -> None:
    recorded = config(**{name: {"threshold": None} for name in ALPHA_SCORES})
    assert set(FiltersConfig().thresholds()) - set(recorded.thresholds()) == set(ALPHA_SCORES)
    assert recorded.enabled() == FiltersConfig().enabled()


def test_a_filter_runs_while_one_of_its_scores_is_wanted() -> None:
    def without(*names: str) -> set[type]:
        off = config(**{name: {"threshold": 0, "enabled": False} for name in names})
        return {type(each) for each in build_filters(off)}

    assert without() >= {AlphaChecks, ArtifactClassifier, ClipAlignment, Composition, Recomposition}
    assert without(*ALPHA_SCORES[1:]) == without()
    assert without() - without(*CLIP_SCORES) == {ClipAlignment}
    assert without() - without(*COMPOSITION_SCORES, RECOMPOSITION) == {Composition, Recomposition}
    assert without(*FiltersConfig().enabled()) == set()


def test_what_is_off_runs_once_it_is_asked_for() -> None:
    wanted = config(safety={"enabled": True}, aesthetic={"enabled": True, "head": "head.safetensors"})
    assert {type(each) for each in build_filters(wanted)} >= {Safety, Aesthetics}


def test_embeddings_are_made_for_duplicates_though_no_score_of_clip_is_wanted() -> None:
    off = {name: {"enabled": False} for name in FiltersConfig().enabled()}
    by_embedding = config(**off, duplicates={"method": "embedding"})
    assert [type(each) for each in build_filters(by_embedding)] == [ClipAlignment]


def test_ratings_need_a_head() -> None:
    with pytest.raises(ValidationError, match="it needs a `head`"):
        config(aesthetic={"enabled": True})


@pytest.mark.parametrize("wrong", [{"clip_margin": {"treshold": 1}}, {"clip_layer": {"threshold": "x"}}, {"clipp": {}}])
def test_what_is_not_a_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config(**wrong)
