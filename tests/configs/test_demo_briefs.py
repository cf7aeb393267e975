"""The hand-made briefs: inside the vocabulary, true, varied, and laid out with care."""

from collections import Counter
from pathlib import Path

import pytest

from layered.box import Box
from layered.brief import Brief, read_briefs
from models.vocabulary import load_vocabulary
from pipeline.briefs import cannot_be_drawn
from pipeline.captions import Thing, list_things

VOCABULARY = load_vocabulary()
BRIEFS, BAD = read_briefs(Path(__file__).resolve().parents[2] / "configs" / "briefs" / "demo.jsonl")
EACH = pytest.mark.parametrize("brief", BRIEFS, ids=[brief.id for brief in BRIEFS])


def things_of(brief: Brief) -> list[Thing]:
    things = []
    for layer in brief.layers:
        if layer.kind == "image":
            label = VOCABULARY.concept_in(layer.caption or "")
            assert label is not None
            colors = VOCABULARY.concepts[label].colors if label in VOCABULARY.concepts else ()
            color = next((color for color in colors if f" {color} " in (layer.caption or "")), "")
            things.append(Thing(label, color))
    return things


def test_all_of_them_can_be_drawn() -> None:
    assert BAD == []
    assert [cannot_be_drawn(brief) for brief in BRIEFS] == [None] * len(BRIEFS)


def test_they_are_many_and_varied() -> None:
    assert len(BRIEFS) >= 44
    assert {brief.style for brief in BRIEFS} == set(VOCABULARY.styles)
    assert len({brief.base_caption for brief in BRIEFS}) >= 25
    assert len({thing.label for brief in BRIEFS for thing in things_of(brief)}) >= 100
    aspects = [Box.canvas(brief.canvas).aspect for brief in BRIEFS]
    assert {round(aspect, 2) for aspect in aspects} >= {1.0, 1.33, 0.75}
    assert min(sum(aspect < 0.9 for aspect in aspects), sum(aspect > 1.1 for aspect in aspects)) >= 8
    assert {len(brief.layers) for brief in BRIEFS} >= set(range(3, 13))
    overflowing = [b.id for b in BRIEFS if any(layer.placed_box().overflows(b.canvas) for layer in b.layers)]
    assert len(overflowing) >= 8
    texts = [layer for brief in BRIEFS for layer in brief.layers if layer.kind == "text"]
    assert len({layer.font for layer in texts}) >= 4
    assert len(texts) >= 15


@EACH
def test_every_word_is_known_and_every_base_image_is_a_scene(brief: Brief) -> None:
    captions = [brief.whole_caption, brief.base_caption, brief.style, *(layer.caption or "" for layer in brief.layers)]
    assert [word for caption in captions for word in VOCABULARY.unknown_words(caption)] == []
    scenes = {
        caption.format(color=color)
        for scene in VOCABULARY.scenes.values()
        for caption in scene.captions
        for color in VOCABULARY.colors
    }
    assert brief.base_caption in scenes


@EACH
def test_the_whole_caption_says_what_is_there(brief: Brief) -> None:
    assert list_things(things_of(brief), VOCABULARY) in brief.whole_caption
    assert brief.base_caption in brief.whole_caption
    for layer in brief.layers:
        if layer.kind == "text":
            assert f'"{layer.text}"' in brief.whole_caption
            assert f'"{layer.text}"' in (layer.caption or "")


@EACH
def test_boxes_suit_what_they_hold(brief: Brief) -> None:
    assert min(brief.canvas) >= 256
    assert max(brief.canvas) <= 512
    assert 3 <= len(brief.layers) <= 12
    for layer in brief.layers:
        box = layer.placed_box()
        visible = box.intersection(Box.canvas(brief.canvas))
        assert visible is not None
        assert visible.area >= 0.6 * box.area
        if layer.kind == "image":
            assert box.aspect == pytest.approx(1, abs=0.05)
            assert min(box.size) >= 30
            label = VOCABULARY.concept_in(layer.caption or "")
            if label in VOCABULARY.concepts:
                typical = VOCABULARY.concepts[label].size * min(brief.canvas)
                assert 0.5 * typical < box.width < 2 * typical


@EACH
def test_layers_do_not_hide_each_other(brief: Brief) -> None:
    boxes = [layer.placed_box() for layer in brief.layers]
    for index, box in enumerate(boxes):
        hidden = Counter[tuple[int, int]]()
        for above in boxes[index + 1 :]:
            if common := box.intersection(above):
                hidden.update((x, y) for x in range(common.x0, common.x1, 2) for y in range(common.y0, common.y1, 2))
        assert 4 * len(hidden) <= 0.45 * box.area, brief.layers[index].caption
