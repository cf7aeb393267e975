"""Which samples of a publication are learnt from."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from art_model.dataset import DataConfig, LayeredDataset, position_order
from layered import UserError
from layered.scores import Score
from shards.reader import Publication
from shards.writer import ShardConfig, ShardSample, write_publication
from tests.art_model.tiny_publication import make_design, shard_sample, tiny_publication


def variegated(number: int) -> ShardSample:
    """Scores, decisions, styles and licences that differ from sample to sample."""
    image, sidecar = make_design(number, 1 + number % 4)
    licence = "CC-BY-NC-4.0" if number == 3 else "CC0-1.0"
    sidecar = sidecar.model_copy(
        update={
            "style_category": ("flat", "pixel")[number % 2],
            "decision": {1: "keep", 2: "pro"}.get(number, ""),
            "layers": tuple(layer.model_copy(update={"licence": licence}) for layer in sidecar.layers),
        }
    )
    scores = [Score(sidecar.id, -1, "aesthetic", number / 10), Score(sidecar.id, 0, "clip_layer", 1 - number / 10)]
    return shard_sample(image, sidecar, "val" if number == 9 else "train", scores if number != 6 else scores[1:])


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """Ten samples in four shards; s0000009 is in `val`, s0000006 never got the score `aesthetic`."""
    samples = [variegated(number) for number in range(10)]
    folder = tmp_path_factory.mktemp("data") / "set"
    return write_publication(samples, folder, ShardConfig(max_samples_per_shard=3))


def opened(publication: Publication, **settings: Any) -> LayeredDataset:
    return LayeredDataset.open(DataConfig(publication=str(publication.path), **settings))


def numbers(dataset: LayeredDataset) -> list[int]:
    return [int(record.sample_id[1:]) for record in dataset.records]


def test_one_split_is_read_in_the_order_of_the_manifest(publication: Publication) -> None:
    dataset = opened(publication)
    assert numbers(dataset) == list(range(9))
    assert dataset.drops == {"split val": 1}
    assert dataset.report() == f"9 of 10 samples of {publication.path}; 1 left out: split val"
    assert dataset.licences == ("CC-BY-NC-4.0", "CC0-1.0")


@pytest.mark.parametrize(
    ("settings", "expected", "reasons"),
    [
        ({"styles": ("pixel",)}, [1, 3, 5, 7], {"style": 5}),
        ({"licences": ("CC0-1.0",)}, [0, 1, 2, 4, 5, 6, 7, 8], {"licence": 1}),
        ({"decisions": ("pro", "keep")}, [1, 2], {"decision undecided": 7}),
        ({"decisions": ("undecided",)}, [0, 3, 4, 5, 6, 7, 8], {"decision keep": 1, "decision pro": 1}),
        ({"min_layers": 2, "max_layers": 3}, [1, 2, 5, 6], {"fewer than 2 layers": 3, "more than 3 layers": 2}),
        # 1 and 2 fall below, but a person kept them.
        ({"scores": {"aesthetic": 0.5}}, [1, 2, 5, 7, 8], {"aesthetic below 0.5": 3, "no score aesthetic": 1}),
        ({"scores": {"clip_layer": 0.45}}, [0, 1, 2, 3, 4, 5], {"clip_layer below 0.45": 3}),
    ],
)
def test_filters_count_what_they_leave_out(
    publication: Publication, settings: dict[str, Any], expected: list[int], reasons: dict[str, int]
) -> None:
    dataset = opened(publication, **settings)
    assert numbers(dataset) == expected
    assert dataset.drops == reasons | {"split val": 1}


def test_layers_without_a_licence_pass_where_that_is_allowed(tmp_path: Path) -> None:
    image, sidecar = make_design(0, 2)
    text = sidecar.layers[1].model_copy(update={"kind": "text", "licence": ""})
    described = sidecar.model_copy(update={"layers": (sidecar.layers[0], text)})
    publication = write_publication([shard_sample(image, described)], tmp_path / "set", ShardConfig())
    assert len(opened(publication, licences=("CC0-1.0", ""))) == 1
    with pytest.raises(UserError, match="1 licence"):
        opened(publication, licences=("CC0-1.0",))


def test_a_draw_depends_on_the_seed_and_grows_with_its_size(publication: Publication) -> None:
    few, more, other = (
        opened(publication, samples=3),
        opened(publication, samples=6),
        opened(publication, samples=6, seed=1),
    )
    assert len(few) == 3
    assert few.drops["beyond samples 3"] == 6
    assert set(numbers(few)) < set(numbers(more))
    assert numbers(more) == sorted(numbers(more))
    assert numbers(more) != numbers(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "test"}, "data.split: .* has no 'test'; it has train, val"),
        ({"styles": ("flat", "cubist")}, "data.styles: .* has no 'cubist'; it has flat, pixel"),
        ({"scores": {"beauty": 0.5}}, "data.scores: .* has no 'beauty'; it has aesthetic, clip_layer"),
        ({"fingerprint": "0" * 64}, r"has changed: its fingerprint is \w{12}, but 000000000000 is pinned"),
        ({"licences": ("MIT",)}, r"no sample passes .*9 licence.*allow more"),
    ],
)
def test_what_cannot_be_meant_is_refused(publication: Publication, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(publication, **settings)


def test_the_pinned_fingerprint_is_accepted_whole_or_shortened(publication: Publication) -> None:
    assert len(opened(publication, fingerprint=publication.fingerprint)) == 9
    assert len(opened(publication, fingerprint=publication.fingerprint[:12])) == 9
    with pytest.raises(ValidationError):
        DataConfig(publication="set", fingerprint="short")


def test_the_publication_of_a_run_is_found(tmp_path: Path) -> None:
    tiny_publication(tmp_path / "shards", 2)
    assert len(LayeredDataset.open(DataConfig(publication=str(tmp_path)))) == 2


def test_samples_come_as_published_by_name_and_as_a_stream(publication: Publication) -> None:
    dataset = opened(publication, styles=("pixel",))
    streamed = list(dataset.stream())
    assert [record for record, _, _ in streamed] == list(dataset.records)
    for record, image, sidecar in streamed:
        original, described = make_design(int(record.sample_id[1:]), len(image.layers))
        named, same_sidecar = dataset.sample(record.sample_id)
        assert np.array_equal(image.whole(), original.whole())
        assert np.array_equal(named.whole(), original.whole())
        assert sidecar == same_sidecar
        assert sidecar.whole_caption == record.caption == described.whole_caption
        assert record.boxes == tuple(layer.box for layer in image.layers)


def test_larger_designs_are_scaled_with_their_boxes(publication: Publication) -> None:
    dataset = opened(publication, largest_side=32)
    for record in dataset.records:
        image, sidecar = dataset.sample(record.sample_id)
        original, _ = make_design(int(record.sample_id[1:]), len(image.layers))
        assert max(image.canvas) == 32
        assert record.canvas == image.canvas == sidecar.canvas
        assert abs(image.canvas[0] / image.canvas[1] - original.canvas[0] / original.canvas[1]) < 0.05
        assert record.boxes == tuple(layer.box for layer in image.layers)
        assert record.boxes == tuple(layer.placed_box() for layer in sidecar.layers)
        assert all((layer.pixels[layer.pixels[..., 3] == 0] == 0).all() for layer in image.layers)
        width, height = original.canvas
        shrunk = original.whole().reshape(height, width, 3).mean((0, 1))
        assert np.abs(image.whole().mean((0, 1)) - shrunk).max() < 4


def test_smaller_designs_are_never_enlarged(publication: Publication) -> None:
    dataset = opened(publication, largest_side=64)
    assert {record.canvas for record in dataset.records} == {(64, 64), (64, 32), (38, 64)}
    assert len({opened(publication, largest_side=side).records for side in (None, 96, 500)}) == 1


def test_damage_is_named(tmp_path: Path) -> None:
    publication = tiny_publication(tmp_path / "set", 4, per_shard=2)
    dataset = opened(publication)
    placement = publication.placement("s0000002")
    layer = next(member for member in placement.members if member.name == "layer_01.png")
    shard = publication.path / placement.shard
    content = bytearray(shard.read_bytes())
    content[layer.offset + layer.size // 2] ^= 0xFF
    shard.write_bytes(content)
    message = r"train-00001.tar: sample s0000002 is damaged \(layer_01.png does not have the published sha256\): copy"
    with pytest.raises(UserError, match=message):
        dataset.sample("s0000002")
    with pytest.raises(UserError, match=message):
        list(dataset.stream())
    dataset.sample("s0000003")


def test_a_missing_or_cut_shard_is_named_before_anything_starts(tmp_path: Path) -> None:
    publication = tiny_publication(tmp_path / "set", 4, per_shard=2)
    dataset = opened(publication)
    shard = publication.path / "train-00001.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:3000])
    with pytest.raises(UserError, match=r"train-00001.tar is cut off at 3000 of \d+ bytes: copy it again"):
        opened(publication)
    with pytest.raises(UserError, match=r"set.*a shard cannot be read|s000000\d is damaged"):
        list(dataset.stream())
    shard.unlink()
    with pytest.raises(UserError, match=r"train-00001.tar is missing: copy the whole publication"):
        opened(publication)
    with pytest.raises(UserError, match=r"sample s0000003 is damaged .*No such file"):
        dataset.sample("s0000003")


def test_a_shard_that_lacks_a_sample_is_noticed_by_the_stream(tmp_path: Path) -> None:
    dataset = opened(tiny_publication(tmp_path / "set", 4, per_shard=2))
    other = tiny_publication(tmp_path / "other", 1)
    (dataset.publication.path / "train-00001.tar").write_bytes((other.path / "train-00000.tar").read_bytes())
    with pytest.raises(UserError, match=r"sample s0000002 is damaged \(it is not where the manifest says\)"):
        list(dataset.stream())


def test_content_changes_with_any_file(publication: Publication, tmp_path: Path) -> None:
    records = opened(publication).records
    assert len({record.content for record in records}) == len(records)
    image, sidecar = make_design(0, 1)
    changed = sidecar.model_copy(update={"base_caption": "a beach"})
    again = write_publication([shard_sample(image, changed)], tmp_path / "set", ShardConfig())
    assert opened(again).records[0].content != records[0].content


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 1000), count=st.integers(0, 300))
def test_an_order_is_a_permutation_and_pure(seed: int, epoch: int, count: int) -> None:
    order = position_order(seed, epoch, count)
    assert Counter(order.tolist()) == Counter(range(count))
    assert np.array_equal(order, position_order(seed, epoch, count))
    if count > 50:
        assert not np.array_equal(order, position_order(seed, epoch + 1, count))
        assert not np.array_equal(order, position_order(seed + 1, epoch, count))


def test_orders_stay_what_they_were() -> None:
    """A training that resumes with another version must go on where it was."""
    assert position_order(7, 3, 10).tolist() == [7, 4, 5, 2, 3, 9, 0, 8, 6, 1]
