"""Benches are read from their files, and every fault is named."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from evaluation.bench import BenchConfig, BenchItem, brief_of, named_in, open_bench, read_designs, write_designs
from layered.brief import Brief, BriefLayer, write_briefs
from layered.errors import UserError
from shards.writer import ShardConfig, write_publication
from tests.evaluation.test_samples import folder_of
from tests.shards.samples import CANVAS, make_sample, shard_samples


def brief(brief_id: str, *captions: str | None, whole: str = "two things") -> Brief:
    layers = tuple(BriefLayer(caption=caption, box=(0, 0, 8, 8)) for caption in captions)
    return Brief(id=brief_id, canvas=CANVAS, style="flat", whole_caption=whole, base_caption="", layers=layers)


def items(count: int) -> list[BenchItem]:
    return [
        BenchItem(brief=brief(f"s{number:07d}", "a dog"), named=("dog",), group="even" if number % 2 == 0 else "odd")
        for number in range(count)
    ]


def test_designs_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_designs(tmp_path / "bench.jsonl", items(5))
    assert read_designs(tmp_path / "bench.jsonl") == items(5)
    bench = open_bench(BenchConfig(designs=str(tmp_path / "bench.jsonl"), group="even", limit=2))
    assert [item.brief.id for item in bench.items] == ["s0000000", "s0000002"]
    assert bench.truth(bench.items[0]) is None


def test_the_truth_lies_in_a_folder(tmp_path: Path) -> None:
    write_designs(tmp_path / "bench.jsonl", items(3))
    config = BenchConfig(designs=str(tmp_path / "bench.jsonl"), truth=str(folder_of(tmp_path / "truth", 3)))
    bench = open_bench(config)
    truth = bench.truth(bench.items[2])
    assert truth is not None
    assert (truth.base == make_sample(2)[0].base).all()
    (tmp_path / "truth" / "s0000001.base_image.png").unlink()
    with pytest.raises(UserError, match="lacks 1 designs, such as s0000001"):
        open_bench(config)


def test_a_publication_is_briefs_and_truth_at_once(tmp_path: Path) -> None:
    write_publication(shard_samples(10), tmp_path / "run" / "shards", ShardConfig())
    bench = open_bench(BenchConfig(publication=str(tmp_path / "run")))
    assert [item.brief.id for item in bench.items] == ["s0000004", "s0000009"]
    image, sidecar = make_sample(4, 2)
    truth = bench.truth(bench.items[0])
    assert truth is not None
    assert (truth.base.shape, len(truth.layers)) == (image.base.shape, 2)
    assert bench.items[0].brief.layers[0].box == sidecar.layers[0].box
    with pytest.raises(UserError, match=r"^bench\.split: .* has no 'test'; it has train, val"):
        open_bench(BenchConfig(publication=str(tmp_path / "run"), split="test"))


def test_a_publication_is_scaled_down(tmp_path: Path) -> None:
    write_publication(shard_samples(10), tmp_path / "shards", ShardConfig())
    bench = open_bench(BenchConfig(publication=str(tmp_path / "shards"), largest_side=24))
    truth = bench.truth(bench.items[0])
    assert truth is not None
    assert truth.canvas == bench.items[0].brief.canvas == (24, 16)
    assert [layer.box for layer in truth.layers] == [layer.placed_box() for layer in bench.items[0].brief.layers]


def test_a_brief_of_a_sample_keeps_its_texts() -> None:
    _, sidecar = make_sample(0)
    text = sidecar.layers[1].model_copy(
        update={"kind": "text", "text": "Hi", "font": "DejaVu Sans", "color": "#102030"}
    )
    found = brief_of(sidecar.model_copy(update={"layers": (sidecar.layers[0], text)}))
    assert (found.layers[1].kind, found.layers[1].text, found.layers[1].color) == ("text", "Hi", "#102030")
    assert found.layers[0].text is None


def test_things_that_the_prompt_names_are_those_of_layers() -> None:
    whole = "a card with two dogs and a red apple under a sky with clouds"
    assert named_in(brief("a", "a dog", "a dog", "a red apple", "a car", None, whole=whole)) == ("dog", "dog", "apple")
    assert named_in(brief("b", None, None, whole=whole)) == ()


def test_a_file_of_briefs_is_a_bench(tmp_path: Path) -> None:
    write_briefs(tmp_path / "briefs.jsonl", [brief("one", "a dog", whole="a dog"), brief("two", "a cat")])
    bench = open_bench(BenchConfig(briefs=str(tmp_path / "briefs.jsonl")))
    assert [item.named for item in bench.items] == [("dog",), ()]


def test_a_fingerprint_changes_with_the_brief() -> None:
    one, other = items(2)
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == one.model_copy(update={"group": "other"}).fingerprint


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "exactly one"),
        ({"designs": "a", "briefs": "b"}, "exactly one"),
        ({"publication": "a", "truth": "b"}, "leave truth out"),
        ({"publication": "a", "group": "b"}, "only a design bench has groups"),
        ({"briefs": "a", "largest_side": 64}, "leave largest_side out"),
    ],
)
def test_a_bench_is_one_thing(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BenchConfig.model_validate(settings)


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the bench"):
        open_bench(BenchConfig(designs=str(tmp_path / "nowhere.jsonl")))
    (tmp_path / "bad.jsonl").write_text('{"brief": {}}\n')
    with pytest.raises(UserError, match=r"bad\.jsonl:1: brief\.id: Field required"):
        open_bench(BenchConfig(designs=str(tmp_path / "bad.jsonl")))
    write_designs(tmp_path / "one.jsonl", items(1))
    with pytest.raises(UserError, match="1 briefs are left; at least two are needed"):
        open_bench(BenchConfig(designs=str(tmp_path / "one.jsonl")))
