"""Prompts are embedded as FLUX embeds them, and without padding nothing else changes."""

from typing import Any

import pytest
import torch

from art_model.text import PromptEncoder
from layered import UserError
from layered.torchvision_cure import ensure_torchvision
from models import TINY

PROMPTS = ["a red apple on a beach", "", "two foxes, pixel style"]


@pytest.fixture(scope="module")
def pipeline() -> Any:
    ensure_torchvision()
    from diffusers import FluxPipeline

    return FluxPipeline.from_pretrained(TINY, local_files_only=True, transformer=None, vae=None, dtype=torch.float32)


def encoder(pipeline: Any, *, pad: bool, length: int = 20) -> PromptEncoder:
    names = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
    return PromptEncoder(*(getattr(pipeline, name) for name in names), length=length, pad=pad)


@torch.inference_mode()
def test_padded_prompts_equal_those_of_diffusers(pipeline: Any) -> None:
    text, pooled, _ = pipeline.encode_prompt(PROMPTS, PROMPTS, max_sequence_length=20)
    for index, embedded in enumerate(encoder(pipeline, pad=True)(PROMPTS)):
        torch.testing.assert_close(embedded.text, text[index])
        torch.testing.assert_close(embedded.pooled, pooled[index])


@torch.inference_mode()
def test_unpadded_prompts_do_not_depend_on_their_batch(pipeline: Any) -> None:
    together = encoder(pipeline, pad=False)(PROMPTS)
    assert [len(each.text) for each in together] == [7, 1, 6]
    for prompt, embedded in zip(PROMPTS, together, strict=True):
        (alone,) = encoder(pipeline, pad=False)([prompt])
        torch.testing.assert_close(embedded.text, alone.text)
        torch.testing.assert_close(embedded.pooled, alone.pooled)


def test_both_encoders_can_be_trained(pipeline: Any) -> None:
    model = encoder(pipeline, pad=False)
    (embedded,) = model(PROMPTS[:1])
    (embedded.text.sum() + embedded.pooled.sum()).backward()
    assert all(
        any(p.grad is not None for p in part.parameters()) for part in (model.text_encoder, model.text_encoder_2)
    )
    model.zero_grad(set_to_none=True)


def test_a_long_prompt_is_refused_and_clip_cuts_its_own(pipeline: Any) -> None:
    prompt = " ".join(["apple"] * 30)
    with pytest.raises(UserError, match="31 tokens, but the model reads 20"):
        encoder(pipeline, pad=False)([prompt])
    (embedded,) = encoder(pipeline, pad=False, length=31)([prompt])
    assert embedded.text.shape[0] == 31


def test_words_that_are_only_spelled_are_named(pipeline: Any) -> None:
    found = encoder(pipeline, pad=False).unknown_words('A red zebroid, a Zebroid and x apples beside "zzz qqq"')
    assert found == ["zebroid", "x"]


def test_tokens_are_counted_as_they_are_embedded(pipeline: Any) -> None:
    own = encoder(pipeline, pad=False)
    assert [own.count_tokens(prompt) for prompt in PROMPTS] == [len(each.text) for each in own(PROMPTS)]
    assert own.count_tokens("a red apple " * 20) > own.length
