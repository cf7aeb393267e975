"""Filtering: finished samples in, all scores and features out."""

import numpy as np
import pytest

from filters.artifacts import OF_WHOLES
from filters.composition import CONTRAST
from filters.config import FiltersConfig
from filters.duplicates import PERCEPTUAL_HASH, perceptual_hash
from filters.recomposition import RECOMPOSITION
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.scores import WHOLE_IMAGE
from layered.sidecar import LayerRecord, Sidecar
from stages.filtering import Filtering
from stages.layer_check import AcceptConfig, LayerCheck
from stages.records import CheckedLayer, Composed, Draw, Drawn, Matted, Scored
from stages.stage import Failed
from tests.filters.drawings import SIDE, drawing, raw_of

STAR = drawing("star", (225, 45, 45), 0.8)


def composed(sample_id: str = "s1", caption: str = "a red star") -> Composed:
    box = (10, 20, 10 + SIDE, 20 + SIDE)
    record = LayerRecord.model_validate(
        {"index": 0, "kind": "image", "caption": caption, "box": box, "layout_box": box, "seed": 0, "attempt": 0}
        | dict.fromkeys(("sha256", "model", "revision", "licence"), "")
    )
    sidecar = Sidecar(
        id=sample_id,
        canvas=(160, 160),
        style_category="cartoon",
        whole_caption="a red star over a plain wall",
        base_caption="a plain wall",
        layer_count=1,
        layers=(record,),
    )
    base = np.full((160, 160, 3), (200, 220, 240), np.uint8)
    return Composed(sample_id, LayeredImage(base, (Layer(STAR, Box(*box)),)), sidecar, {0: raw_of(STAR)}, {})


@pytest.fixture(scope="module")
def stage() -> Filtering:
    stage = Filtering(FiltersConfig())
    stage.setup()
    return stage


def scored(stage: Filtering, *samples: Composed) -> list[Scored]:
    results = stage.process(samples)
    assert all(isinstance(each, Scored) for each in results), results
    return [each for each in results if isinstance(each, Scored)]


def test_every_score_of_the_configuration_is_given(stage: Filtering) -> None:
    (result,) = scored(stage, composed())
    # The sample has neither a text nor a merged image.
    assert {row.name for row in result.scores} == FiltersConfig().enabled() - {CONTRAST, RECOMPOSITION}
    of_whole = {row.name for row in result.scores if row.layer_index == WHOLE_IMAGE}
    assert of_whole == {"clip_whole", *(f"artifact_{kind}" for kind in OF_WHOLES)}
    thresholds = FiltersConfig().thresholds()
    assert [row for row in result.scores if row.layer_index == 0 and row.score < thresholds[row.name]] == []


def test_the_hash_is_that_of_the_whole_image(stage: Filtering) -> None:
    sample = composed()
    (result,) = scored(stage, sample)
    assert result.features[PERCEPTUAL_HASH] == perceptual_hash(sample.image.whole())
    assert set(result.features) == {PERCEPTUAL_HASH, "clip_whole"}


def test_a_sample_is_scored_as_its_layers_were_when_drawn(stage: Filtering) -> None:
    check = LayerCheck(AcceptConfig(), FiltersConfig())
    check.setup()
    draw = Draw("s1", 0, 0, 0, "", "a red star", (SIDE, SIDE))
    (checked,) = check.process([Matted(Drawn(draw, raw_of(STAR), (1, SIDE, SIDE), "", "", ""), STAR, (128, 128, 128))])
    assert isinstance(checked, CheckedLayer)
    (result,) = scored(stage, composed())
    rows = [row for row in result.scores if row.layer_index == 0 and row.name in checked.scores]
    assert len(rows) == len(checked.scores)
    found = {row.name: row.score for row in rows}
    assert found == pytest.approx(dict(checked.scores))


def test_scores_do_not_depend_on_neighbours_and_follow_the_samples(stage: Filtering) -> None:
    first, second = composed("s1"), composed("s2", "a dog")
    together = scored(stage, first, second)
    assert together == [*scored(stage, first), *scored(stage, second)]
    assert [each.sample_id for each in together] == ["s1", "s2"]
    assert {row.sample_id for row in together[1].scores} == {"s2"}


def test_a_sample_that_cannot_be_scored_fails_alone(stage: Filtering) -> None:
    broken = composed("s2")
    object.__setattr__(broken.image, "base", np.zeros((0, 0, 3), np.uint8))
    good, bad = stage.process([composed(), broken])
    assert isinstance(good, Scored)
    assert isinstance(bad, Failed)
    assert (bad.sample_id, bad.stage, bad.layer_index) == ("s2", "filtering", -1)
