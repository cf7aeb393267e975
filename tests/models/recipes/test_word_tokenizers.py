"""Both tokenizers read every word of the vocabulary as one token, before and after saving."""

from pathlib import Path

from layered.torchvision_cure import ensure_torchvision
from models import TINY
from models.recipes.word_tokenizers import MAX_TOKENS, clip_tokenizer, t5_tokenizer
from models.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()


def test_every_word_is_one_token() -> None:
    words = sorted(VOCABULARY.words)
    assert {len(ids) for ids in t5_tokenizer()(words).input_ids} == {2}  # the word and the end
    assert {len(ids) for ids in clip_tokenizer()(words).input_ids} == {3}  # start, word, end


def test_an_unknown_word_falls_apart_and_ends_properly() -> None:
    t5, clip = t5_tokenizer(), clip_tokenizer()
    assert len(t5("zorp").input_ids) > 2
    assert t5("zorp").input_ids[-1] == t5.eos_token_id
    assert clip("zorp").input_ids[-1] == clip.eos_token_id


def test_the_longest_prompt_fits() -> None:
    templates, tokenizer = VOCABULARY.templates, t5_tokenizer()
    for label in VOCABULARY.labels:
        for suffix in VOCABULARY.suffixes:
            prompt = templates.prompt.format(caption=VOCABULARY.label_caption(label), style="outline", suffix=suffix)
            assert len(tokenizer(prompt).input_ids) <= MAX_TOKENS


def test_the_shipped_tokenizers_are_these() -> None:
    ensure_torchvision()
    from transformers import CLIPTokenizer, T5TokenizerFast

    prompts = ["a red apple, cartoon style, on a plain gray background", "some purple grapes", "zorp"]
    shipped = {"tokenizer": CLIPTokenizer, "tokenizer_2": T5TokenizerFast}
    for (folder, kind), built in zip(shipped.items(), (clip_tokenizer(), t5_tokenizer()), strict=True):
        loaded = kind.from_pretrained(Path(TINY) / folder)
        assert loaded(prompts).input_ids == built(prompts).input_ids
        assert loaded.model_max_length == MAX_TOKENS
