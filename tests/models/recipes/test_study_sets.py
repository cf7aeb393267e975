"""The sets that the study compares the pipeline's shards with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.bench import read_designs
from layered.box import Box
from layered.codec import encode_members
from layered.sidecar import LayerRecord, Sidecar
from models.recipes.art_designs import set_a, set_b
from models.recipes.design_bench import DESIGNS
from models.recipes.study_sets import exact_sample, exact_samples, joined_samples, own_samples, study_briefs
from models.vocabulary import load_vocabulary
from shards.writer import ShardConfig, ShardSample, write_publication

pytestmark = pytest.mark.usefixtures("emoji_font")


def record(index: int, caption: str, box: tuple[int, int, int, int]) -> LayerRecord:
    return LayerRecord(
        index=index, kind="image", caption=caption, box=(0, 0, 1, 1), layout_box=box, seed=0, attempt=0,
        sha256="", model="", revision="", licence="",
    )  # fmt: skip


SIDECAR = Sidecar(
    id="designed-1",
    canvas=(128, 96),
    style_category="cartoon",
    whole_caption="a red apple and a blue star on a green meadow under a blue sky",
    base_caption="a green meadow under a blue sky",
    layer_count=2,
    scores={"clip_whole": 0.2},
    layers=(record(0, "a red apple", (10, 20, 60, 70)), record(1, "a blue star", (-10, 40, 50, 90))),
)


def test_a_sample_is_drawn_again_in_the_boxes_that_were_asked_for() -> None:
    image, sidecar = exact_sample(SIDECAR)
    assert image.canvas == (128, 96)
    assert sidecar.whole_caption == SIDECAR.whole_caption
    assert sidecar.scores == {}  # they were of other pixels
    for layer, wanted, described in zip(image.layers, SIDECAR.layers, sidecar.layers, strict=True):
        around = Box.of(wanted.layout_box)
        assert layer.box.intersection(around) == layer.box
        assert max(layer.box.width / around.width, layer.box.height / around.height) > 0.9
        assert Box.of(described.box) == layer.box
        assert described.layout_box == wanted.layout_box
    star = image.layers[1].pixels
    opaque = star[star[..., 3] == 255][:, :3]
    assert np.median(opaque[:, 2]) > np.median(opaque[:, 0])  # it is the blue one
    again, _ = exact_sample(SIDECAR)
    assert np.array_equal(again.whole(), image.whole())


@pytest.mark.parametrize(
    "spoiled", [{"base_caption": "a place"}, {"layers": (record(0, "a thing", (0, 0, 9, 9)),) * 2}]
)
def test_what_nobody_can_draw_is_named(spoiled: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"designed-1.*is known for"):
        exact_sample(SIDECAR.model_copy(update=spoiled))


def test_briefs_for_the_pipeline_are_none_of_the_bench() -> None:
    briefs = study_briefs(40)
    bench = {frozenset((layer.caption, layer.box) for layer in item.brief.layers) for item in read_designs(DESIGNS)}
    assert len({brief.id for brief in briefs}) == 40
    assert not bench & {frozenset((layer.caption, layer.box) for layer in brief.layers) for brief in briefs}
    assert {len(brief.layers) for brief in briefs} == {2, 3, 4, 5, 6}
    named = {load_vocabulary().concept_in(layer.caption or "") for brief in briefs for layer in brief.layers}
    assert named & set_a()
    assert named & set_b()
    assert study_briefs(3) == briefs[:3]


def test_own_designs_hold_set_a_alone_and_name_some_of_it() -> None:
    samples = list(own_samples(12))
    vocabulary = load_vocabulary()
    assert [sample.split for sample in samples].count("val") == 2
    named = 0
    for sample in samples:
        assert sample.sidecar.canvas == (128, 128)
        others = [label for label in vocabulary.labels if label not in set_a()]
        assert vocabulary.concept_in(sample.sidecar.whole_caption) not in others
        assert not any(layer.caption for layer in sample.sidecar.layers)
        named += vocabulary.concept_in(sample.sidecar.whole_caption) is not None
    assert named > 6
    assert [replace(each, images={}) for each in own_samples(3)] == [replace(each, images={}) for each in samples[:3]]


def test_a_publication_is_drawn_again_sample_by_sample(tmp_path: Path) -> None:
    image, sidecar = exact_sample(SIDECAR)
    images = {name: data for name, data in encode_members(image, sidecar).items() if name.endswith(".png")}
    publication = write_publication([ShardSample("val", sidecar, images)], tmp_path / "set", ShardConfig())
    (again,) = exact_samples(publication)
    assert (again.split, again.sidecar) == ("val", sidecar)
    assert again.images == images


def test_joined_publications_keep_every_sample_as_it_was(tmp_path: Path) -> None:
    samples = list(own_samples(4))
    parts = [
        write_publication(iter(samples[:3]), tmp_path / "first", ShardConfig(title="one"), {}),
        write_publication(iter(samples[3:]), tmp_path / "second", ShardConfig(title="two"), {}),
    ]
    joined = list(joined_samples(parts))
    assert [(each.split, each.sidecar.id) for each in joined] == [(each.split, each.sidecar.id) for each in samples]
    assert [each.images for each in joined] == [each.images for each in samples]
    with pytest.raises(ValueError, match="own-000000 is in two"):
        list(joined_samples([parts[0], parts[0]]))


def test_a_random_part_of_the_first_publication_leaves_validation_and_the_others_alone(tmp_path: Path) -> None:
    samples = list(own_samples(24))
    parts = [
        write_publication(iter(part), tmp_path / name, ShardConfig(title=name), {})
        for name, part in (("first", samples[:21]), ("second", samples[21:]))
    ]
    joined = [each.sidecar.id for each in joined_samples(parts, 5)]
    trained = [number for number in range(24) if number % 10 and f"own-{number:06d}" in joined]
    assert {f"own-{number:06d}" for number in (0, 10, 20, 21, 22, 23)} <= set(joined)
    assert len(trained) == 5 + 3
    assert trained[:5] != [1, 2, 3, 4, 5]
    assert [each.sidecar.id for each in joined_samples(parts, 5)] == joined
