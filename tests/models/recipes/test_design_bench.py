"""The design bench is always the same, held out, drawable, and has the statistics of real layouts."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evaluation.bench import BenchConfig, open_bench, read_designs
from evaluation.concepts import empty_or_repeated, found
from evaluation.judge import load_judge
from layered.codec import decode_members, encode_members
from models.recipes.art_designs import set_a
from models.recipes.design_bench import DESIGNS, GROUPS, SIDES_OF_LAYOUTS, bench_design, true_sidecar, write_validation
from models.vocabulary import load_vocabulary


def test_the_committed_list_is_what_the_recipe_draws(emoji_font: None) -> None:
    committed = read_designs(DESIGNS)
    assert Counter(item.group for item in committed) == GROUPS
    for place in (0, 7, 199, 200, 299):
        item = committed[place]
        assert bench_design(item.group, int(item.brief.id.rpartition("-")[2]))[0] == item


def test_prompts_name_every_thing_in_words_that_models_read() -> None:
    vocabulary = load_vocabulary()
    for item in read_designs(DESIGNS):
        assert vocabulary.unknown_words(item.brief.whole_caption) == []
        assert len(set(item.named)) == len(item.named) == len(item.brief.layers)
        assert [vocabulary.concept_in(layer.caption or "") for layer in item.brief.layers] == list(item.named)
        if item.group == "set-a":
            assert set(item.named) <= set_a()


def test_validation_designs_are_none_of_the_bench(emoji_font: None, tmp_path: Path) -> None:
    write_validation(tmp_path, 6)
    bench = open_bench(BenchConfig(designs=str(tmp_path / "designs.jsonl"), truth=str(tmp_path / "truth")))
    assert len(bench.items) == 6
    captions = {item.brief.whole_caption for item in read_designs(DESIGNS)}
    for item in bench.items:
        assert item.brief.whole_caption not in captions
        truth = bench.truth(item)
        assert truth is not None
        assert [layer.box for layer in truth.layers] == [layer.placed_box() for layer in item.brief.layers]


def test_layers_come_equally_often_and_none_hides_another() -> None:
    items = read_designs(DESIGNS)
    assert set(Counter(len(item.brief.layers) for item in items).values()) == {60}
    for item in items:
        boxes = [layer.placed_box() for layer in item.brief.layers]
        assert not any(box.overflows(item.brief.canvas) for box in boxes)


def test_true_designs_show_what_they_name_and_are_written_whole(emoji_font: None) -> None:
    judge = load_judge()
    drawn = [bench_design("all", number) for number in range(8)]
    assert sum(len(found(judge, image, item.named)) for item, image in drawn) >= 0.95 * sum(
        len(item.named) for item, _ in drawn
    )
    assert sum(empty_or_repeated(judge, image) for _, image in drawn) <= 1
    item, image = drawn[3]
    decoded, sidecar = decode_members(encode_members(image, true_sidecar(item, image)))
    assert (decoded.whole() == image.whole()).all()
    assert [layer.box for layer in sidecar.layers] == [layer.box for layer in item.brief.layers]


def test_the_statistics_are_those_of_the_real_layouts(shared_dir: Path) -> None:
    path = shared_dir / "layouts" / "art_layouts.jsonl"
    sides = []
    for line in path.read_text(encoding="utf-8").splitlines():
        layout = json.loads(line)
        for layer in layout["layers"]:
            if layer["role"] not in ("merged", "background"):
                x0, y0, x1, y1 = layer["box"]
                sides.append(((x1 - x0) * (y1 - y0) / (layout["canvas"][0] * layout["canvas"][1])) ** 0.5)
    assert len(sides) == 40
    assert np.quantile(sides, (0.25, 0.5, 0.75, 0.9)).tolist() == pytest.approx(SIDES_OF_LAYOUTS, abs=0.001)
