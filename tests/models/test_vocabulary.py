"""The vocabulary is one closed world: whatever an entry or a template says can be read and drawn."""

from itertools import pairwise

import pytest

from models.vocabulary import Theme, load_vocabulary

VOCABULARY = load_vocabulary()


def test_it_is_as_wide_as_promised() -> None:
    assert len(VOCABULARY.concepts) >= 120
    assert len({concept.category for concept in VOCABULARY.concepts.values()}) >= 8
    assert (len(VOCABULARY.shapes), len(VOCABULARY.colors)) == (12, 12)
    assert len(VOCABULARY.scenes) >= 15
    assert len(VOCABULARY.styles) >= 7
    assert len(VOCABULARY.themes) >= 12


def test_no_two_concepts_share_a_name_or_an_emoji() -> None:
    emoji = [concept.emoji for concept in VOCABULARY.concepts.values()]
    assert len(set(emoji)) == len(emoji)
    assert len(set(VOCABULARY.labels)) == len(VOCABULARY.labels)


@pytest.mark.parametrize("theme", VOCABULARY.themes.values(), ids=lambda theme: theme.name)
def test_a_theme_is_made_of_known_concepts_and_scenes(theme: Theme) -> None:
    assert set(theme.concepts) <= set(VOCABULARY.concepts)
    assert set(theme.scenes) <= set(VOCABULARY.scenes)
    assert len(set(theme.concepts)) == len(theme.concepts)
    assert VOCABULARY.unknown_words(theme.title) == []


def test_every_concept_belongs_to_a_theme() -> None:
    used = {name for theme in VOCABULARY.themes.values() for name in theme.concepts}
    assert set(VOCABULARY.concepts) - used == set()


def test_a_label_is_found_in_its_own_captions_singular_coloured_and_plural() -> None:
    for label in VOCABULARY.labels:
        captions = [VOCABULARY.label_caption(label), f"three {VOCABULARY.plural(label)}"]
        if label in VOCABULARY.concepts:
            concept = VOCABULARY.concepts[label]
            captions += [concept.caption(color) for color in concept.colors]
            assert set(concept.colors) <= set(VOCABULARY.colors)
        for caption in captions:
            assert VOCABULARY.concept_in(caption) == label
            assert VOCABULARY.unknown_words(caption) == []


def test_what_a_run_sends_is_readable() -> None:
    templates = VOCABULARY.templates
    for suffix in VOCABULARY.suffixes:
        for style in VOCABULARY.styles:
            for wording in templates.layer:
                caption = wording.format(caption="a red apple", name="red apple")
                prompt = templates.prompt.format(caption=caption, style=style, suffix=suffix)
                assert VOCABULARY.unknown_words(prompt) == []
    for wording in templates.whole:
        whole = wording.format(things="two dogs and a red apple", base="a sandy beach by the sea", title="a farm")
        assert VOCABULARY.unknown_words(whole) == []
    for scene in VOCABULARY.scenes.values():
        for number in range(len(scene.captions)):
            assert VOCABULARY.unknown_words(scene.caption("pink" if scene.takes_color else None, number)) == []


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("an angry face", "angry face"),
        ("a basketball beside a soccer ball", "soccer ball"),
        ("two red crosses", "red cross"),
        ("a pineapple", "pineapple"),
        ("a circle", None),
        ("Some ICE cream, neon style", "ice cream"),
        ("nothing", None),
    ],
)
def test_concept_in(caption: str, label: str | None) -> None:
    assert VOCABULARY.concept_in(caption) == label


def test_unknown_words_are_listed_once_in_order_and_quotations_are_not_read() -> None:
    text = 'a zorp and a quux on a zorp with the text "FROBNICATE"'
    assert VOCABULARY.unknown_words(text) == ["zorp", "quux"]


def test_a_scene_takes_a_color_exactly_when_it_has_a_slot() -> None:
    assert VOCABULARY.scenes["paper"].caption("teal") == "plain teal paper"
    with pytest.raises(ValueError, match="needed"):
        VOCABULARY.scenes["paper"].caption()
    with pytest.raises(ValueError, match="not taken"):
        VOCABULARY.scenes["beach"].caption("teal")


def test_articles_follow_the_word_they_stand_before() -> None:
    assert VOCABULARY.concepts["apple"].caption() == "an apple"
    assert VOCABULARY.concepts["apple"].caption("red") == "a red apple"
    assert VOCABULARY.concepts["tent"].caption("orange") == "an orange tent"
    assert VOCABULARY.concepts["grapes"].caption("purple") == "some purple grapes"
    assert VOCABULARY.shape_caption("orange", "heart") == "an orange heart"


def test_colors_are_far_enough_apart_to_be_told() -> None:
    values = sorted(VOCABULARY.colors.values())
    assert all(max(abs(a - b) for a, b in zip(one, other, strict=True)) >= 20 for one, other in pairwise(values))
