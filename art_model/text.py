"""Prompts as FLUX reads them: T5 embeds every token, CLIP the prompt as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from layered.errors import UserError


@dataclass(frozen=True, eq=False)
class PromptEmbedding:
    """One prompt.

    Attributes:
        text: ``[tokens, joint]``, of T5.
        pooled: ``[pooled]``, of CLIP.
    """

    text: torch.Tensor
    pooled: torch.Tensor


class PromptEncoder(nn.Module):
    """Both text encoders of FLUX with their tokenizers.

    Args:
        tokenizer, text_encoder: CLIP's. A prompt longer than its `model_max_length` is cut for it, as FLUX cuts it.
        tokenizer_2, text_encoder_2: T5's.
        length: the longest prompt that T5 reads, in tokens, its end token included.
        pad: fill every prompt up to `length` with padding tokens that the transformer sees as well, without a mask, as
            FLUX does. Otherwise only the prompt's own tokens are given, as many as there are.
    """

    def __init__(
        self, tokenizer: Any, text_encoder: Any, tokenizer_2: Any, text_encoder_2: Any, *, length: int, pad: bool
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.tokenizer_2 = tokenizer_2
        self.text_encoder_2 = text_encoder_2
        self.length = length
        self.pad = pad

    def forward(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        """Embeds prompts in one batch; the encoders can be trained through it. Raises UserError for a long prompt."""
        pooled = self.embed_pooled(prompts)
        return [PromptEmbedding(text, each) for text, each in zip(self.embed_tokens(prompts), pooled, strict=True)]

    def embed_tokens(self, prompts: Sequence[str]) -> list[torch.Tensor]:
        """T5's part: ``[tokens, joint]`` per prompt."""
        ids = [self._token_ids(prompt) for prompt in prompts]
        width = self.length if self.pad else max(map(len, ids))
        padded = torch.full((len(ids), width), self.tokenizer_2.pad_token_id, device=self.device)
        for row, own in zip(padded, ids, strict=True):
            row[: len(own)] = torch.tensor(own)
        if self.pad:
            return list(self.text_encoder_2(padded)[0])
        lengths = torch.tensor([len(own) for own in ids], device=self.device)
        mask = torch.arange(width, device=self.device) < lengths[:, None]
        embedded = self.text_encoder_2(padded, attention_mask=mask)[0]
        return [row[: len(own)] for row, own in zip(embedded, ids, strict=True)]

    def embed_pooled(self, prompts: Sequence[str]) -> torch.Tensor:
        """CLIP's part: ``[prompts, pooled]``."""
        inputs = self.tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="pt")
        pooled: torch.Tensor = self.text_encoder(inputs.input_ids.to(self.device)).pooler_output
        return pooled

    def count_tokens(self, prompt: str) -> int:
        """How many tokens of T5 a prompt has, its end token included; more than `length` cannot be embedded."""
        return len(self.tokenizer_2(prompt, verbose=False).input_ids)

    def unknown_words(self, prompt: str) -> list[str]:
        """The words that T5's tokenizer can only spell, in order, each once; quoted text is not looked at.

        A model with a closed vocabulary draws something else where one stands.
        """
        words = dict.fromkeys(re.findall(r"\w+", re.sub(r'"[^"]*"', " ", prompt.lower())))
        return [word for word in words if self._is_spelled(word)]

    def _is_spelled(self, word: str) -> bool:
        pieces = self.tokenizer_2.tokenize(word)
        return len(pieces) > 1 and all(len(piece.lstrip("▁")) <= 1 for piece in pieces)

    @property
    def device(self) -> torch.device:
        parameter: torch.Tensor = next(self.text_encoder_2.parameters())
        return parameter.device

    def _token_ids(self, prompt: str) -> list[int]:
        ids: list[int] = self.tokenizer_2(prompt, verbose=False).input_ids
        if len(ids) > self.length:
            raise UserError(
                f'the prompt "{prompt[:40]}…" has {len(ids)} tokens, but the model reads {self.length}: shorten it'
            )
        return ids
