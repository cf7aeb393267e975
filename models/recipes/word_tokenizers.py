"""Word-level tokenizers of the vocabulary, in the classes that FluxPipeline and CLIP expect.

Every word of the vocabulary is one token; an unknown word falls apart into letters.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from layered.torchvision_cure import ensure_torchvision
from models.vocabulary import load_vocabulary

MAX_TOKENS = 20  # of a prompt, end token included
_SIGNS = [*"abcdefghijklmnopqrstuvwxyz0123456789", ",", ".", ":", "'", '"', "-", "!", "?"]  # fmt: skip


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
    """Vocabulary and merges of a byte-pair encoding (Sennrich et al. 2016) in CLIP's form, where `</w>` ends a word.

    Pairs are merged until every word is one token; ties are broken by the pair's letters. The `tokenizers`
    library's own trainer breaks them by chance, and weights trained with one numbering are worthless with another.
    """
    words = [(*word[:-1], f"{word[-1]}</w>") for word in sorted(load_vocabulary().words)]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for word in words for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [_merged(word, best) for word in words]
    letters = [*_SIGNS, *(f"{sign}</w>" for sign in _SIGNS)]
    tokens = dict.fromkeys(["<|startoftext|>", "<|endoftext|>", *letters, *(left + right for left, right in merges)])
    return {token: number for number, token in enumerate(tokens)}, merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    pieces: list[str] = []
    for piece in word:
        if pieces and (pieces[-1], piece) == pair:
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)
