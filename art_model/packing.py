"""Packing: samples of unequal length stand back to back in one sequence, and nothing is padded.

Everything in the transformer but attention works token by token, so a batch is one long list of tokens; who attends to
whom is told by lengths. What differs from sample to sample, or inside one, is the modulation: one row per distinct
(sample, time), and every token names its row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def latents_to_tokens(latents: Tensor) -> Tensor:
    """Latents ``[C, 2 rows, 2 columns]`` to tokens ``[rows · columns, 4 C]``, channels in FLUX's order (c, dy, dx)."""
    channels, height, width = latents.shape
    patches = latents.reshape(channels, height // 2, 2, width // 2, 2)
    return patches.permute(1, 3, 0, 2, 4).reshape(height // 2 * (width // 2), 4 * channels)


def tokens_to_latents(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `latents_to_tokens`: ``[rows · columns, 4 C]`` to ``[C, 2 rows, 2 columns]``."""
    patches = tokens.reshape(rows, columns, -1, 2, 2)
    return patches.permute(2, 0, 3, 1, 4).reshape(-1, 2 * rows, 2 * columns)


@dataclass(frozen=True, eq=False)
class TokenSample:
    """One sample, ready to be packed.

    Attributes:
        tokens: ``[n, channels]``: noisy latents, clean ones where a region is held.
        positions: ``[n, 3]`` layer, y, x in tokens of the canvas.
        times: one for all tokens or ``[n]``: 0 is data, 1 is noise.
        text: ``[t, joint width]`` embedded prompt.
        pooled: ``[pooled width]`` embedded prompt.
    """

    tokens: Tensor
    positions: Tensor
    times: float | Tensor
    text: Tensor
    pooled: Tensor


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Samples back to back.

    Attributes:
        tokens: ``[N, channels]``.
        positions: ``[N, 3]`` layer, y, x.
        token_rows: ``[N]`` which modulation row each token takes.
        image_lengths: tokens of each sample; their sum is N, or less where the end is padding.
        text: ``[T, joint width]``.
        text_rows: ``[T]``.
        text_lengths: text tokens of each sample; their sum is T, or less where the end is padding.
        pooled: ``[B, pooled width]``.
        row_samples: ``[R]`` which sample a modulation row belongs to.
        row_times: ``[R]`` its time, 0 (data) … 1 (noise).
        guidance: ``[R]`` the guidance embedding's input, for transformers that have one.
    """

    tokens: Tensor
    positions: Tensor
    token_rows: Tensor
    image_lengths: tuple[int, ...]
    text: Tensor
    text_rows: Tensor
    text_lengths: tuple[int, ...]
    pooled: Tensor
    row_samples: Tensor
    row_times: Tensor
    guidance: Tensor | None = None

    def to(self, device: torch.device) -> "PackedBatch":
        """The same batch on a device."""
        moved: dict[str, Any] = {n: value.to(device) for n, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def padded(self, tokens: int, text: int, rows: int) -> "PackedBatch":
        """The same batch with tokens, text tokens and modulation rows filled up to constant numbers.

        Compiled blocks then meet one shape and are never compiled again. The padding takes part in no attention, and
        the transformer does not return it.

        Raises:
            ValueError: when the batch is larger.
        """
        more = (tokens - len(self.tokens), text - len(self.text), rows - len(self.row_times))
        if min(more) < 0:
            had = (len(self.tokens), len(self.text), len(self.row_times))
            raise ValueError(f"{had} tokens, text tokens and rows do not fit into {(tokens, text, rows)}")
        return replace(
            self,
            tokens=_lengthened(self.tokens, more[0]),
            positions=_lengthened(self.positions, more[0]),
            token_rows=_lengthened(self.token_rows, more[0]),
            text=_lengthened(self.text, more[1]),
            text_rows=_lengthened(self.text_rows, more[1]),
            row_samples=_lengthened(self.row_samples, more[2]),
            row_times=_lengthened(self.row_times, more[2]),
            guidance=None if self.guidance is None else _lengthened(self.guidance, more[2]),
        )


def pack(samples: Sequence[TokenSample], *, guidance: float | None = None) -> PackedBatch:
    """Puts samples back to back.

    A sample has one modulation row per distinct time among its tokens. Its text takes the row of the largest time: that
    of the noised tokens, as held ones are clean at time 0.

    Args:
        samples: at least one.
        guidance: the input of the guidance embedding, for transformers that have one.

    Raises:
        ValueError: when a sample's parts do not fit each other.
    """
    for index, sample in enumerate(samples):
        _check(sample, index)
    device = samples[0].tokens.device
    row_times: list[Tensor] = []
    token_rows, text_rows, counts = [], [], []
    rows = 0
    for sample in samples:
        distinct, own = _rows_of(sample)
        row_times.append(distinct)
        token_rows.append(own + rows)
        rows += len(distinct)
        counts.append(len(distinct))
        text_rows.append(torch.full((len(sample.text),), rows - 1))
    times = torch.cat(row_times).to(device)
    return PackedBatch(
        tokens=torch.cat([sample.tokens for sample in samples]),
        positions=torch.cat([sample.positions for sample in samples]).to(device),
        token_rows=torch.cat(token_rows).to(device),
        image_lengths=tuple(len(sample.tokens) for sample in samples),
        text=torch.cat([sample.text for sample in samples]),
        text_rows=torch.cat(text_rows).to(device),
        text_lengths=tuple(len(sample.text) for sample in samples),
        pooled=torch.stack([sample.pooled for sample in samples]),
        row_samples=torch.arange(len(samples)).repeat_interleave(torch.tensor(counts)).to(device),
        row_times=times,
        guidance=None if guidance is None else torch.full_like(times, guidance),
    )


def _rows_of(sample: TokenSample) -> tuple[Tensor, Tensor]:
    """The distinct times of a sample, ascending, and which of them each token has; on the CPU."""
    times = torch.as_tensor(sample.times).cpu()
    if not times.is_floating_point():
        times = times.float()
    if times.ndim == 0:
        return times[None], torch.zeros(len(sample.tokens), dtype=torch.int64)
    distinct, rows = torch.unique(times, return_inverse=True)
    return distinct, rows


def _check(sample: TokenSample, index: int) -> None:
    count = len(sample.tokens)
    times = torch.as_tensor(sample.times)
    if sample.positions.shape != (count, 3):
        raise ValueError(f"sample {index}: positions {list(sample.positions.shape)} for {count} tokens")
    if times.ndim > 0 and times.shape != (count,):
        raise ValueError(f"sample {index}: times {list(times.shape)} for {count} tokens: one for all, or one for each")


def _lengthened(values: Tensor, more: int) -> Tensor:
    """More rows of zeros at the end."""
    return F.pad(values, (0, 0) * (values.ndim - 1) + (0, more))
