"""Word-level tokenizers of the vocabulary, in the classes that FluxPipeline and CLIP expect.

Every word of the vocabulary is one token; an unknown word falls apart into letters.
"""

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from layered.torchvision_cure import ensure_torchvision
from models.vocabulary import load_vocabulary

MAX_TOKENS = 20  # of a prompt, end token included
_SIGNS = [*"abcdefghijklmnopqrstuvwxyz0123456789", ",", ".", ":", "'", "\"", "-", "!", "?"]  # fmt: skip


def t5_tokenizer() -> Any:
    """A `T5TokenizerFast` (Unigram): words cost less than letters, so a known word is always one piece."""
    ensure_torchvision()
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -100.0), ("▁", -10.0)]
    pieces += [(sign, -10.0) for sign in _SIGNS]
    pieces += [(f"▁{word}", -1.0) for word in sorted(load_vocabulary().words)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return T5TokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_ids=0,
        model_max_length=MAX_TOKENS,
    )


def clip_tokenizer() -> Any:
    """A `CLIPTokenizer` (byte-pair encoding) whose merges end in whole words."""
    ensure_torchvision()
    from transformers import CLIPTokenizer

    vocab, merges = clip_bpe()
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)


def clip_bpe() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-pair encoding in CLIP's form (`</w>` ends a word)."""
    words = sorted(load_vocabulary().words)
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    trainer = trainers.BpeTrainer(
        vocab_size=20_000,
        min_frequency=1,
        end_of_word_suffix="</w>",
        initial_alphabet=_SIGNS,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([*words, *_SIGNS], trainer)
    import json

    state = json.loads(tokenizer.to_str())["model"]
    return dict(state["vocab"]), [(left, right) for left, right in state["merges"]]
