"""Designs as tokens, ready to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from art_model.regions import TOKEN, Regions, regions_of
from layered.arrays import Size
from layered.box import Box

Kind = Literal["image", "text"]


@dataclass(frozen=True, eq=False)
class CachedDesign:
    """One design, or one variant of it.

    Attributes:
        variant: 0 is the sample itself.
        canvas: ``(width, height)`` in pixels.
        boxes, kinds: of the foregrounds, bottom to top.
        tokens: ``[n, channels]`` float16, posterior means of merged image, background and foregrounds, as
            `art_model.packing.latents_to_tokens` puts them; n is the number of tokens of `regions`.
        prompt: the caption of the whole.
        text: ``[t, joint]`` float16, the prompt embedded by T5.
        pooled: ``[pooled]`` float16, the prompt embedded by CLIP.
        token: side of a token in pixels.
    """

    sample_id: str
    variant: int
    canvas: Size
    boxes: tuple[Box, ...]
    kinds: tuple[Kind, ...]
    tokens: Tensor
    prompt: str
    text: Tensor
    pooled: Tensor
    token: int = TOKEN

    @property
    def regions(self) -> Regions:
        return regions_of(self.canvas, self.boxes, token=self.token)
