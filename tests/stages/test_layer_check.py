"""The check of single layers: it redraws what the filters would flag, and knows which attempt is best."""

import numpy as np
import pytest

from filters.config import FiltersConfig
from layered.arrays import UInt8Array
from stages.layer_check import AcceptConfig, LayerCheck
from stages.records import CheckedLayer, Draw, Drawn, Matted
from stages.stage import Failed
from tests.filters.drawings import drawing, grown, raw_of

CIRCLE = drawing("disc", (225, 45, 45), 0.8)


def matted(rgba: UInt8Array, caption: str = "a red circle", index: int = 0) -> Matted:
    draw = Draw("s1", index, 0, 0, "", caption, (128, 128))
    return Matted(Drawn(draw, raw_of(CIRCLE), (1, 128, 128), "m", "r", "l"), rgba, (128, 128, 128))


@pytest.fixture(scope="module")
def stage() -> LayerCheck:
    stage = LayerCheck(AcceptConfig(), FiltersConfig())
    stage.setup()
    return stage


def check(stage: LayerCheck, *layers: Matted) -> list[CheckedLayer]:
    results = stage.process(layers)
    assert all(isinstance(each, CheckedLayer) for each in results), results
    return [each for each in results if isinstance(each, CheckedLayer)]


def test_a_sound_layer_passes_and_every_score_is_kept(stage: LayerCheck) -> None:
    (checked,) = check(stage, matted(CIRCLE))
    assert checked.passed
    assert set(checked.scores) == set(AcceptConfig().thresholds())


@pytest.mark.parametrize(
    ("broken", "by"),
    [
        (matted(grown(CIRCLE, 4)), "alpha_halo"),
        (matted(CIRCLE, "a dog"), "clip_margin"),
        (matted(np.zeros_like(CIRCLE)), "alpha_empty"),
    ],
)
def test_a_broken_layer_does_not(stage: LayerCheck, broken: Matted, by: str) -> None:
    (checked,) = check(stage, broken)
    assert not checked.passed
    assert checked.scores[by] < AcceptConfig().thresholds()[by]


def test_a_better_layer_has_the_higher_quality(stage: LayerCheck) -> None:
    sound, haloed, wrong, empty = check(
        stage,
        matted(CIRCLE),
        matted(grown(CIRCLE, 4)),
        matted(grown(CIRCLE, 4), "a dog"),
        matted(np.zeros_like(CIRCLE)),
    )
    assert sound.quality > haloed.quality > wrong.quality > empty.quality


def test_a_verdict_does_not_depend_on_neighbours(stage: LayerCheck) -> None:
    layers = [matted(CIRCLE), matted(grown(CIRCLE, 4), index=1), matted(CIRCLE, "a dog", 2)]
    assert check(stage, *layers) == [check(stage, layer)[0] for layer in layers]


def test_what_is_null_is_not_looked_at() -> None:
    accept = AcceptConfig(clip_layer=None, clip_margin=None, alpha_halo=None)
    stage = LayerCheck(accept, FiltersConfig())
    stage.setup()  # needs no CLIP
    (checked,) = check(stage, matted(grown(CIRCLE, 4), "a dog"))
    assert checked.passed
    assert "clip_layer" not in checked.scores


def test_redrawing_is_at_least_as_strict_as_publishing() -> None:
    published = FiltersConfig().thresholds()
    assert all(least >= published[name] for name, least in AcceptConfig().thresholds().items())


def test_a_layer_that_cannot_be_checked_fails_alone(stage: LayerCheck) -> None:
    good, bad = stage.process([matted(CIRCLE), matted(np.zeros((3, 3), np.uint8), index=7)])
    assert isinstance(good, CheckedLayer)
    assert isinstance(bad, Failed)
    assert (bad.stage, bad.layer_index) == ("layer_check", 7)
