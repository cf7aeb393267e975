"""When a sample is how noisy: flow-matching times, shifted by the number of tokens, in training as in sampling.

A time t runs from 0 (data) to 1 (noise); the noised latent is (1 - t)·data + t·noise. FLUX moves times towards noise
the more tokens an image has: t → f·t / (1 + (f - 1)·t) with f = e^μ and μ linear in the token count (Esser et al. 2024,
arXiv 2403.03206, section 5.3.2; FLUX's `get_lin_function`). A layered image repeats one canvas, so that its layers add
tokens but hardly detail: counted together they send f to 13 at 12 layers and to 129 at 50. So one canvas is counted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from typing import Self

    from art_model.regions import Regions


class Shift(BaseModel):
    """How far times are moved towards noise; a part of the checkpoint, since training and sampling must agree.

    Attributes:
        by: ``canvas`` counts the tokens of one canvas, ``total`` those of all regions as ART's released code does; a
            number is the factor f itself, and 1 leaves times as they are.
        base_tokens, base_mu: a point of the line from token count to μ.
        max_tokens, max_mu: another one; the line goes on beyond both.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    by: Literal["canvas", "total"] | Annotated[float, Field(gt=0)] = "canvas"
    base_tokens: int = Field(256, ge=1)
    base_mu: float = 0.5
    max_tokens: int = Field(4096, ge=2)
    max_mu: float = 1.15

    @model_validator(mode="after")
    def _is_a_line(self) -> Self:
        if self.base_tokens >= self.max_tokens:
            raise ValueError(f"base_tokens {self.base_tokens} must be below max_tokens {self.max_tokens}")
        return self

    def factor(self, regions: Regions) -> float:
        """f = e^μ for a layout."""
        if not isinstance(self.by, str):
            return self.by
        tokens = regions.tokens if self.by == "total" else canvas_tokens(regions)
        slope = (self.max_mu - self.base_mu) / (self.max_tokens - self.base_tokens)
        return math.exp(self.base_mu + slope * (tokens - self.base_tokens))


def canvas_tokens(regions: Regions) -> int:
    """Tokens of one full canvas; a side that is no multiple of the token's counts its last, partial token."""
    width, height = regions.canvas
    return -(-width // regions.token) * -(-height // regions.token)


def shift_times(times: torch.Tensor, regions: Regions, shift: Shift) -> torch.Tensor:
    """Times of any shape in 0…1, moved towards 1; 0 and 1 stay."""
    factor = shift.factor(regions)
    return factor * times / (1 + (factor - 1) * times)


def sigmas(steps: int, regions: Regions, shift: Shift) -> torch.Tensor:
    """The times at which an Euler sampler looks: ``[steps + 1]`` in float64, from exactly 1 down to exactly 0.

    Before the shift they are 1, (steps - 1)/steps, …, 1/steps, 0, as in FLUX.

    Raises:
        ValueError: for fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least 1 is needed")
    return shift_times(torch.linspace(1, 0, steps + 1, dtype=torch.float64), regions, shift)
