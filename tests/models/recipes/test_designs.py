"""Training captions tell the truth about the pictures they belong to."""

from collections import Counter

import numpy as np
import pytest

from models.recipes.captions import base_prompt, layer_prompt, things_phrase, whole_caption
from models.recipes.designs import draw_design
from models.recipes.word_tokenizers import MAX_TOKENS, t5_tokenizer
from models.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize("seed", range(12))
def test_a_designs_caption_can_be_read_and_its_counterpart_names_other_things(seed: int, emoji_font: None) -> None:
    design = draw_design((96, 64), np.random.default_rng(seed))
    again = draw_design((96, 64), np.random.default_rng(seed))
    assert design.rgb.shape == (64, 96, 3)
    assert (design.rgb == again.rgb).all()
    assert (design.caption, design.swapped) == (again.caption, again.swapped)
    for caption in (design.caption, design.swapped):
        assert VOCABULARY.unknown_words(caption) == []
    for label in design.labels:
        forms = (label, VOCABULARY.plural(label))
        assert any(form in design.caption for form in forms)
    assert any(
        label not in design.swapped and VOCABULARY.plural(label) not in design.swapped for label in design.labels
    )


def test_things_are_counted_and_joined() -> None:
    rng = np.random.default_rng(0)
    assert things_phrase(["dog", "zebra", "dog", "dog"], rng) == "three dogs and a zebra"
    assert things_phrase(["red cross", "red cross"], rng) == "two red crosses"
    assert things_phrase(["dog", "zebra", "robot"], rng) == "a dog, a zebra and a robot"
    whole = whole_caption(["dog"], "a beach", "a farm", rng)
    assert "a dog" in whole


def test_training_prompts_are_readable_and_fit_the_models_length() -> None:
    rng, tokenizer = np.random.default_rng(1), t5_tokenizer()
    prompts = [layer_prompt(label, style, rng) for label in VOCABULARY.labels for style in VOCABULARY.styles]
    for scene in VOCABULARY.scenes.values():
        prompts.append(base_prompt(scene, "purple" if scene.takes_color else None, "neon", rng))
    lengths = Counter(len(ids) for ids in tokenizer(prompts).input_ids)
    assert max(lengths) <= MAX_TOKENS
    assert all(VOCABULARY.unknown_words(prompt) == [] for prompt in prompts)
