"""ART's designs are what their captions, boxes and the split of the vocabulary say."""

import numpy as np
import pytest

from layered.placing import alpha_box
from models.recipes.art_designs import (
    CANVASES,
    EVALUATION,
    TRAINING,
    Contents,
    draw_art_design,
    partial_caption,
    set_a,
    set_b,
)
from models.recipes.word_tokenizers import t5_tokenizer
from models.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()


def test_the_sets_split_the_labels_and_both_have_every_theme_shape_and_colour() -> None:
    assert set_a() | set_b() == set(VOCABULARY.labels)
    assert not set_a() & set_b()
    assert len(set_a() & set(VOCABULARY.concepts)) == len(set_b() & set(VOCABULARY.concepts)) == 72
    for labels in (set_a(), set_b()):
        assert all(len(labels & set(theme.concepts)) >= 2 for theme in VOCABULARY.themes.values() if theme.concepts)
        pairs = {tuple(label.split(" ")) for label in labels - set(VOCABULARY.concepts)}
        assert {color for color, _ in pairs} == set(VOCABULARY.colors)
        assert {shape for _, shape in pairs} == set(VOCABULARY.shapes)


@pytest.mark.parametrize("seed", range(20))
def test_a_design_has_different_things_of_set_a_in_tight_boxes_on_the_canvas(seed: int, emoji_font: None) -> None:
    design = draw_art_design(np.random.default_rng([TRAINING, seed]))
    image, contents = design.image, design.contents
    assert image.canvas in CANVASES
    assert 2 <= len(image.layers) <= 6
    assert len(image.layers) == len(contents.labels) == len(set(contents.labels))
    assert set(contents.labels) <= set_a()
    width, height = image.canvas
    for layer in image.layers:
        assert alpha_box(layer.pixels, 8) == layer.box.shifted(-layer.box.x0, -layer.box.y0)
        assert 0.25 <= max(layer.box.size) / min(image.canvas) <= 0.61
        assert layer.box.x0 >= -0.31 * layer.box.width
        assert layer.box.x1 - width <= 0.31 * layer.box.width + 1
        assert layer.box.y0 >= -0.31 * layer.box.height
        assert layer.box.y1 - height <= 0.31 * layer.box.height + 1


def test_a_design_is_a_function_of_its_seed_and_streams_never_meet(emoji_font: None) -> None:
    one, same, other = (
        draw_art_design(np.random.default_rng(seed), CANVASES[0], 4)
        for seed in ([TRAINING, 3], [TRAINING, 3], [EVALUATION, 3])
    )
    assert (one.image.whole() == same.image.whole()).all()
    assert one.contents == same.contents
    assert (one.image.whole() != other.image.whole()).any()


def test_captions_name_what_is_foreign_to_the_theme_at_least_one_thing_and_nothing_that_is_not_there(
    emoji_font: None,
) -> None:
    rng, tokenizer = np.random.default_rng(0), t5_tokenizer()
    parts = []
    for seed in range(60):
        contents = draw_art_design(np.random.default_rng([TRAINING, seed])).contents
        caption = partial_caption(contents, rng)
        assert 1 <= len(caption.named) <= len(contents.labels)
        assert set(caption.named) <= set(contents.labels)
        foreign = {label for label, own in zip(contents.labels, contents.of_theme, strict=True) if not own}
        assert foreign <= set(caption.named)
        assert all(label in caption.text for label in caption.named)
        unnamed = set(contents.labels) - set(caption.named)
        assert unnamed <= set(VOCABULARY.themes[contents.theme].concepts) or contents.theme == "shapes"
        assert VOCABULARY.unknown_words(caption.text) == []
        assert len(tokenizer(caption.text).input_ids) <= 128
        parts.append(len(caption.named) / len(contents.labels))
    assert 0.5 < np.mean(parts) < 0.75


def test_contents_survive_json() -> None:
    contents = Contents(("dog", "red circle"), (True, False), "farm", "room", "teal")
    assert Contents.from_json(contents.as_json()) == contents
