"""The designer: any number of briefs, each a function of seed and index."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layered.box import Box
from layered.errors import UserError
from models.vocabulary import load_vocabulary
from pipeline.briefs import cannot_be_drawn
from pipeline.designer import TEXT_LAYERS_OF_PRO, design_brief, design_briefs, layer_count_shares
from pipeline.plan_config import DesignerConfig

VOCABULARY = load_vocabulary()


@settings(max_examples=150)
@given(seed=st.integers(0, 2**40), index=st.integers(0, 10**6))
def test_a_design_can_be_drawn_and_every_word_is_known(seed: int, index: int) -> None:
    config = DesignerConfig()
    brief = design_brief(config, seed, index)
    assert cannot_be_drawn(brief) is None
    assert config.min_layers <= len(brief.layers) <= config.max_layers
    assert sum(layer.kind == "text" for layer in brief.layers) <= config.max_text_layers
    captions = [brief.whole_caption, brief.base_caption, brief.style, *(layer.caption or "" for layer in brief.layers)]
    assert [word for caption in captions for word in VOCABULARY.unknown_words(caption)] == []
    for layer in brief.layers:
        visible = layer.placed_box().intersection(Box.canvas(brief.canvas))
        assert visible is not None
        assert visible.area >= 0.65 * layer.placed_box().area
        if layer.kind == "image":
            assert VOCABULARY.concept_in(layer.caption or "") in VOCABULARY.labels


@settings(max_examples=25)
@given(seed=st.integers(0, 2**40), few=st.integers(1, 5), many=st.integers(5, 12))
def test_a_brief_does_not_depend_on_how_many_are_asked_for(seed: int, few: int, many: int) -> None:
    config = DesignerConfig()
    assert list(design_briefs(config, seed, many))[:few] == list(design_briefs(config, seed, few))
    assert design_briefs(config, seed, many)[few - 1] == design_brief(config, seed, few - 1)


def test_seeds_and_indices_give_different_designs() -> None:
    config = DesignerConfig()
    briefs = [*design_briefs(config, 1, 20), *design_briefs(config, 2, 20)]
    assert len({brief.model_dump_json(exclude={"id"}) for brief in briefs}) == 40
    assert len({brief.id for brief in briefs[:20]}) == 20


def test_whole_captions_name_exactly_what_is_there() -> None:
    for brief in design_briefs(DesignerConfig(max_text_layers=0), 3, 60):
        shown = Counter(VOCABULARY.concept_in(layer.caption or "") for layer in brief.layers)
        for label, count in shown.items():
            assert label is not None
            name = label if count == 1 else VOCABULARY.plural(label)
            assert name.split(" ")[-1] in brief.whole_caption
        for text in (layer.text for layer in brief.layers if layer.kind == "text"):
            assert f'"{text}"' in brief.whole_caption
        assert brief.base_caption in brief.whole_caption


def test_layer_counts_follow_prismlayerspro() -> None:
    shares = layer_count_shares(1, 25)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(shares[count] for count in (6, 7, 8)) == pytest.approx(0.335, abs=1e-6)
    drawn = [len(brief.layers) for brief in design_briefs(DesignerConfig(max_layers=25), 0, 1500)]
    for count, share in shares.items():
        deviation = (share * (1 - share) / len(drawn)) ** 0.5
        assert drawn.count(count) / len(drawn) == pytest.approx(share, abs=4.5 * deviation)


def test_text_layers_follow_prismlayerspro_where_there_is_room() -> None:
    config = DesignerConfig(min_layers=8, max_layers=12, max_text_layers=3)
    briefs = design_briefs(config, 0, 1200)
    drawn = Counter(sum(layer.kind == "text" for layer in brief.layers) for brief in briefs)
    wanted = [share / sum(TEXT_LAYERS_OF_PRO[:4]) for share in TEXT_LAYERS_OF_PRO[:4]]
    for count, share in enumerate(wanted):
        assert drawn[count] / 1200 == pytest.approx(share, abs=4.5 * (share * (1 - share) / 1200) ** 0.5)


def test_themes_and_styles_can_be_chosen() -> None:
    config = DesignerConfig(themes=("farm",), styles=("pixel", "neon"), canvases=((300, 200),))
    briefs = list(design_briefs(config, 5, 30))
    assert {brief.style for brief in briefs} == {"pixel", "neon"}
    assert {brief.canvas for brief in briefs} == {(300, 200)}
    labels = {VOCABULARY.concept_in(x.caption or "") for brief in briefs for x in brief.layers if x.kind == "image"}
    assert labels <= set(VOCABULARY.themes["farm"].concepts)


@pytest.mark.parametrize(("field", "value"), [("themes", "farn"), ("styles", "cubist")])
def test_an_unknown_theme_or_style_is_one_clear_line(field: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"plan\.designer\.{field}: there is no '{value}'; known are "):
        design_briefs(DesignerConfig(**{field: (value,)}), 0, 1)


def test_indexing_behaves_like_a_list() -> None:
    briefs = design_briefs(DesignerConfig(), 0, 4)
    assert len(briefs) == 4
    assert briefs[-1] == briefs[3]
    assert briefs[1:3] == [briefs[1], briefs[2]]
    with pytest.raises(IndexError):
        briefs[4]
