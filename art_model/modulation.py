"""Modulation by time, guidance and pooled text: computed once per row, a distinct (sample, time)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from art_model.packing import PackedBatch

_EPS = 1e-6
_SINUSOIDS = 256
_MAX_PERIOD = 10000


@dataclass(frozen=True, eq=False)
class Rows:
    """Which modulation row each token of a joint sequence ``[texts; images]`` takes.

    Attributes:
        joint: ``[text + image]`` row numbers.
        text: how many of them are the text's.
        count: how many rows there are.
    """

    joint: Tensor
    text: int
    count: int

    @property
    def of_text(self) -> Tensor:
        return self.joint[: self.text]

    @property
    def of_image(self) -> Tensor:
        return self.joint[self.text :]


class TimeTextEmbedding(nn.Module):
    """``[R, width]``: each row's time, guidance and pooled text, through the SiLU that every block begins with."""

    def __init__(self, width: int, pooled_width: int, *, guidance: bool) -> None:
        super().__init__()
        self.timestep_embedder = _TwoLinear(_SINUSOIDS, width)
        self.guidance_embedder = _TwoLinear(_SINUSOIDS, width) if guidance else None
        self.text_embedder = _TwoLinear(pooled_width, width)

    def forward(self, batch: PackedBatch) -> Tensor:
        """Raises ValueError when the batch brings guidance and there is no embedding for it, or the other way round."""
        dtype = batch.pooled.dtype
        embedding: Tensor = self.timestep_embedder(sinusoids(batch.row_times, dtype))
        if (self.guidance_embedder is None) != (batch.guidance is None):
            has = "no" if self.guidance_embedder is None else "a"
            raise ValueError(f"the transformer has {has} guidance embedding: pack the batch accordingly")
        if self.guidance_embedder is not None and batch.guidance is not None:
            embedding = embedding + self.guidance_embedder(sinusoids(batch.guidance, dtype))
        return F.silu(embedding + self.text_embedder(batch.pooled)[batch.row_samples])


class _TwoLinear(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        embedded: Tensor = self.linear_2(F.silu(self.linear_1(values)))
        return embedded


def sinusoids(values: Tensor, dtype: torch.dtype) -> Tensor:
    """``[n, 256]`` cosines, then sines, of ``1000 · values`` at 128 frequencies.

    Computed in single precision whatever the model's, as FLUX's weights have met it. (diffusers and the reference code
    first round the values to the model's precision, which in bf16 moves a time by up to 0.2 %; that is not repeated.)
    """
    half = _SINUSOIDS // 2
    exponents = -math.log(_MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device=values.device) / half
    scaled = (values.to(torch.promote_types(dtype, torch.float32)) * 1000).float()
    angles = scaled[:, None] * torch.exp(exponents)
    return torch.cat([angles.cos(), angles.sin()], -1).to(dtype)


class Modulation(nn.Module):
    """Projects the embedding to several vectors of the model's width per row, which tokens then take."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(width, parts * width)

    def forward(self, embedding: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """Embedding ``[R, width]`` and rows ``[n]`` to `parts` tensors ``[n, width]``; ``[1, width]`` where R is 1."""
        return take_rows(self.linear(embedding), rows).chunk(self.parts, -1)


def take_rows(table: Tensor, rows: Tensor) -> Tensor:
    """``table[rows]``, with a fast gradient; a table of one row is returned as it is, to be broadcast."""
    if len(table) == 1:
        return table
    taken: Tensor = _TakeRows.apply(table, rows)  # type: ignore[no-untyped-call]
    return taken


class _TakeRows(torch.autograd.Function):
    """`index_select` whose gradient is a product with the one-hot matrix of rows.

    torch adds up gradients of selected rows one by one; few rows taken by many tokens are a small matrix product.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.count = len(table)
        return table.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        chosen = torch.arange(ctx.count, device=rows.device)[:, None] == rows
        return chosen.to(gradient.dtype) @ gradient, None


def modulated(hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without weights, then scale and shift."""
    return torch.addcmul(shift, F.layer_norm(hidden, hidden.shape[-1:], eps=_EPS), 1 + scale)
