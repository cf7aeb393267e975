"""Transformer blocks whose attention stays within windows of the canvas, for tokens of any number of layers.

A window is a square of the canvas with all layers' tokens in it; blocks that shift their windows by half of a side let
everything see everything in the end (Swin, arXiv 2103.14030). Time grows linearly with canvas and layers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from torch.nn.utils.rnn import pad_sequence

_SIZE_STEP = 32  # windows whose numbers of tokens differ less share a batch


class Block(nn.Module):
    """Attention and MLP, each after a layer norm and added to what came in."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, mlp)
        self.down = nn.Linear(mlp, width)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], windows: Windows) -> Tensor:
        vectors = self.qkv(self.norm1(hidden)).unflatten(-1, (3, self.heads, -1))
        turned = torch.cat([_rotated(vectors[:, :2], *rotation), vectors[:, 2:]], 1)
        attended = windows.attend(turned).flatten(1)
        hidden = hidden + self.out(attended)
        added: Tensor = hidden + self.down(F.gelu(self.up(self.norm2(hidden)), approximate="tanh"))
        return added


@dataclass(frozen=True)
class Windows:
    """Which tokens see each other.

    Attributes:
        batches: windows of similar size together: token numbers ``[windows, longest]``, and what is added to the
            scores of those that only fill up, ``[windows, 1, 1, longest]``.
        back: where in all the batches one after the other each token stands, ``[n]``.
    """

    batches: list[tuple[Tensor, Tensor]]
    back: Tensor

    def attend(self, vectors: Tensor) -> Tensor:
        """Queries, keys and values ``[n, 3, heads, head width]`` to ``[n, heads, head width]``."""
        gathered = vectors.index_select(0, torch.cat([tokens.flatten() for tokens, _ in self.batches]))
        mixed = []
        parts = torch.split_with_sizes(gathered, [tokens.numel() for tokens, _ in self.batches])
        for part, (tokens, mask) in zip(parts, self.batches, strict=True):
            query, key, value = part.view(*tokens.shape, *part.shape[1:]).permute(2, 0, 3, 1, 4)
            # Written out: for windows this small it takes a third of the fused kernel's time on a CPU.
            scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + mask.to(query.dtype)
            mixed.append((scores.softmax(-1) @ value).transpose(1, 2).flatten(0, 1))
        return torch.cat(mixed).index_select(0, self.back)


def windows_of(groups: Tensor, positions: Tensor, side: int, shift: int) -> Windows:
    """The windows of groups ``[n]`` at positions ``[n, 3]``: squares of `side` whose corners lie at its multiples."""
    cells = torch.div(positions[:, 1:] + shift, side, rounding_mode="floor").long()
    cells = cells - cells.amin(0)
    rows, columns = (cells.amax(0) + 1).tolist()
    window_of_token = (groups.to(cells) * rows + cells[:, 0]) * columns + cells[:, 1]
    _, window_of_token, lengths = torch.unique(window_of_token, return_inverse=True, return_counts=True)
    members = window_of_token.argsort(stable=True).split(lengths.tolist())
    by_size: dict[int, list[Tensor]] = defaultdict(list)
    for own in members:
        by_size[-(-len(own) // _SIZE_STEP)].append(own)
    padded = [pad_sequence(same, batch_first=True, padding_value=-1) for same in by_size.values()]
    batches = [(own.clamp_min(0), torch.where(own < 0, -torch.inf, 0.0)[:, None, None]) for own in padded]
    flat = torch.cat([own.flatten() for own in padded])
    places = (flat >= 0).nonzero()[:, 0]
    return Windows(batches, places[flat[places].argsort()])


def rotation_of(positions: Tensor, axes: Sequence[int], theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[n, 1, 1, head width / 2]`` for positions ``[n, 3]``, one stretch of channels per axis."""
    angles = []
    for axis, channels in enumerate(axes):
        exponents = torch.arange(0, channels, 2, dtype=torch.float32, device=positions.device) / channels
        angles.append(positions[:, axis, None] * theta**-exponents)
    angle = torch.cat(angles, 1)[:, None, None]
    return angle.cos(), angle.sin()


def _rotated(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries and keys ``[n, 2, heads, head width]``, turned; a pair is channel i and i + half."""
    cos, sin = cos.to(vectors.dtype), sin.to(vectors.dtype)
    one, other = vectors.chunk(2, -1)
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)
