"""The transparent decoder: latents of all regions of a design back into RGBA, all of them jointly.

A small vision transformer after ART (arXiv 2502.18364, section 3.3): one token per latent pixel, one 8 × 8 RGBA patch
out of each, rotary positions (layer, y, x) on the canvas, attention over all regions of a design. What one region's
latents leave open, such as opaque gray against transparent, the merged image and the other layers tell. Two things are
ours. Attention stays within square windows of the canvas that hold all layers and shift by half from block to block
(Swin, arXiv 2103.14030), so that time grows linearly with the canvas and the number of layers. And a linear map from
latent to patch runs beside the transformer, which has only to learn what is not linear.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from torch.nn.utils.rnn import pad_sequence

from art_model.regions import FIRST_FOREGROUND, Region, Regions
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.pixels import clear_hidden, round_to_uint8

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"

_SIZE_STEP = 32  # windows whose numbers of tokens differ less share a batch
_ROLES = FIRST_FOREGROUND + 1  # merged, background, and any foreground: so the number of layers has no limit


class DecoderConfig(BaseModel):
    """The decoder's shape.

    Attributes:
        latent_channels: of the RGB autoencoder.
        patch: pixels of a latent pixel's side.
        width, heads, blocks, mlp: of the transformer; `mlp` is the hidden width.
        rope_axes: channels of a head for layer, y and x; even, in sum the width of a head.
        rope_theta: slowest wavelength of the rotary positions, in latent pixels over 2π.
        window: side of the windows of attention in latent pixels; even.
        scope: how far attention reaches: all regions of a `design`, or each `region` alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latent_channels: int = Field(16, ge=1)
    patch: int = Field(8, ge=1)
    width: int = Field(128, ge=1)
    heads: int = Field(4, ge=1)
    blocks: int = Field(4, ge=1)
    mlp: int = Field(256, ge=1)
    rope_axes: tuple[int, int, int] = (4, 14, 14)
    rope_theta: float = Field(100.0, gt=1)
    window: int = Field(8, ge=2, multiple_of=2)
    scope: Literal["design", "region"] = "design"

    @model_validator(mode="after")
    def _axes_fill_a_head(self) -> Self:
        if sum(self.rope_axes) * self.heads != self.width or any(axis % 2 for axis in self.rope_axes):
            raise ValueError(
                f"rope_axes {self.rope_axes} must be even, and {self.heads} times their sum the width {self.width}"
            )
        return self


class TransparentDecoder(nn.Module):
    """Latents of regions to RGBA; see the module's text."""

    def __init__(self, config: DecoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DecoderConfig()
        pixels = 4 * config.patch**2
        self.embed = nn.Linear(config.latent_channels, config.width)
        self.role = nn.Embedding(_ROLES, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, pixels)
        self.linear_weight = nn.Parameter(torch.zeros(_ROLES, config.latent_channels, pixels))
        self.linear_bias = nn.Parameter(torch.zeros(_ROLES, pixels))
        nn.init.normal_(self.role.weight, std=0.02)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, latents: Sequence[Tensor], regions: Regions) -> list[Tensor]:
        """One design.

        Args:
            latents: per region ``[channels, height, width]`` of its aligned box, as `encode_regions` gives them.
            regions: merged and background first.

        Returns:
            Per region ``[4, aligned height, aligned width]``: straight RGB in −1…1 and alpha in 0…1, both apart from
            what a linear output overshoots.
        """
        return self.packed([(latents, regions)])[0]

    def packed(self, samples: Sequence[tuple[Sequence[Tensor], Regions]]) -> list[list[Tensor]]:
        """`forward` for many designs of any sizes at once; none sees another.

        Raises:
            ValueError: when latents and regions do not fit each other.
        """
        placed = [
            (own, region)
            for latents, regions in samples
            for own, region in zip(latents, regions.items, strict=True)
        ]  # fmt: skip
        for own, region in placed:
            self._check(own, region)
        device = self.head.weight.device
        tokens = torch.cat([own.flatten(1).T for own, _ in placed]).to(device)
        lengths = [own.shape[1] * own.shape[2] for own, _ in placed]
        roles = torch.tensor([min(region.layer, _ROLES - 1) for _, region in placed])
        role_of_token = roles.repeat_interleave(torch.tensor(lengths)).to(device)
        positions = torch.cat([self._positions(own, region) for own, region in placed]).to(device)
        group = (
            torch.arange(len(placed)) if self.config.scope == "region" else _numbers([len(own) for own, _ in samples])
        )
        group_of_token = group.repeat_interleave(torch.tensor(lengths)).to(device)
        patches = self._patches(tokens, role_of_token, positions, group_of_token)
        by_region = torch.split_with_sizes(patches, lengths)
        pictures = [self._picture(patch, own) for patch, (own, _) in zip(by_region, placed, strict=True)]
        ends = [0, *accumulate(len(latents) for latents, _ in samples)]
        return [pictures[start:end] for start, end in pairwise(ends)]

    @torch.no_grad()
    def decode(self, latents: Sequence[Tensor], regions: Regions) -> list[UInt8Array]:
        """Per region straight 8-bit RGBA of its exact box; RGB is 0 where alpha is 0."""
        decoded = self(latents, regions)
        return [cut_to_box(rgba, region) for rgba, region in zip(decoded, regions.items, strict=True)]

    def _patches(self, tokens: Tensor, roles: Tensor, positions: Tensor, groups: Tensor) -> Tensor:
        """``[n, channels]`` to ``[n, 4 · patch²]``; only tokens of one group see each other."""
        side = self.config.window
        windows = [_windows(groups, positions, side, shift) for shift in (0, side // 2)]
        rotation = _rotation(positions, self.config)
        hidden = self.embed(tokens) + self.role(roles)
        for number, block in enumerate(self.blocks):
            hidden = block(hidden, rotation, windows[number % 2])
        patches: Tensor = self.head(self.norm(hidden)).float() + self.linear(tokens.float(), roles)
        return patches

    def linear(self, tokens: Tensor, roles: Tensor) -> Tensor:
        """The part of the patches that is linear in the latent, by role: ``[n, channels]`` to ``[n, 4 · patch²]``."""
        by_role = [
            (tokens @ weight + bias) * (roles == role)[:, None]
            for role, (weight, bias) in enumerate(zip(self.linear_weight, self.linear_bias, strict=True))
        ]
        return torch.stack(by_role).sum(0)

    def _check(self, latents: Tensor, region: Region) -> None:
        patch = self.config.patch
        wanted = (self.config.latent_channels, region.aligned.height // patch, region.aligned.width // patch)
        if tuple(latents.shape) != wanted:
            raise ValueError(
                f"layer {region.layer}: latents of shape {list(latents.shape)} where its aligned box "
                f"{region.aligned.as_list()} needs {list(wanted)}"
            )

    def _positions(self, latents: Tensor, region: Region) -> Tensor:
        """``[h · w, 3]``: layer, y, x in latent pixels of the canvas; negative where the region overflows."""
        y, x = (torch.arange(size, dtype=torch.float32) for size in latents.shape[1:])
        top, left = region.aligned.y0 // self.config.patch, region.aligned.x0 // self.config.patch
        return F.pad(torch.cartesian_prod(y + top, x + left), (1, 0), value=region.layer)

    def _picture(self, patches: Tensor, latents: Tensor) -> Tensor:
        grid = patches.T.reshape(1, -1, *latents.shape[1:])
        return F.pixel_shuffle(grid, self.config.patch)[0]


def cut_to_box(rgba: Tensor, region: Region) -> UInt8Array:
    """A decoded region ``[4, h, w]`` as straight 8-bit RGBA of its exact box, rounded; RGB is 0 where alpha is 0."""
    inner = rgba[(slice(None), *region.inner().pixels())].detach().float().cpu()
    pixels = torch.cat([(inner[:3] + 1) / 2, inner[3:]]).permute(1, 2, 0).numpy()
    return clear_hidden(round_to_uint8(np.ascontiguousarray(pixels)))


def save_decoder(decoder: TransparentDecoder, folder: Path) -> None:
    """Writes `config.json` and, in half precision, `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_NAME).write_text(decoder.config.model_dump_json(indent=1) + "\n", "utf-8")
    save_file(
        {name: weight.half().contiguous() for name, weight in decoder.state_dict().items()}, folder / WEIGHTS_NAME
    )


def load_decoder(folder: Path) -> TransparentDecoder:
    """The decoder of a folder, in float32, ready to decode.

    Raises:
        UserError: when the folder holds no decoder or files that do not fit each other.
    """
    try:
        config = DecoderConfig.model_validate_json((folder / CONFIG_NAME).read_bytes())
        decoder = TransparentDecoder(config)
        decoder.load_state_dict({name: weight.float() for name, weight in load_file(folder / WEIGHTS_NAME).items()})
    except FileNotFoundError as error:
        raise UserError(f"{folder}: {CONFIG_NAME} and {WEIGHTS_NAME} of a transparent decoder are needed") from error
    except (ValidationError, RuntimeError) as error:
        raise UserError(f"{folder}: no transparent decoder: {str(error).splitlines()[0]}") from error
    return decoder.eval().requires_grad_(False)


class _Block(nn.Module):
    """Attention and MLP, each after a layer norm and added to what came in."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.mlp)
        self.down = nn.Linear(config.mlp, config.width)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], windows: _Windows) -> Tensor:
        vectors = self.qkv(self.norm1(hidden)).unflatten(-1, (3, self.heads, -1))
        turned = torch.cat([_rotated(vectors[:, :2], *rotation), vectors[:, 2:]], 1)
        attended = windows.attend(turned).flatten(1)
        hidden = hidden + self.out(attended)
        added: Tensor = hidden + self.down(F.gelu(self.up(self.norm2(hidden)), approximate="tanh"))
        return added


@dataclass(frozen=True)
class _Windows:
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


def _windows(groups: Tensor, positions: Tensor, side: int, shift: int) -> _Windows:
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
    return _Windows(batches, places[flat[places].argsort()])


def _rotation(positions: Tensor, config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[n, 1, 1, head width / 2]`` for positions ``[n, 3]``, one stretch of channels per axis."""
    angles = []
    for axis, channels in enumerate(config.rope_axes):
        exponents = torch.arange(0, channels, 2, dtype=torch.float32, device=positions.device) / channels
        angles.append(positions[:, axis, None] * config.rope_theta**-exponents)
    angle = torch.cat(angles, 1)[:, None, None]
    return angle.cos(), angle.sin()


def _rotated(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries and keys ``[n, 2, heads, head width]``, turned; a pair is channel i and i + half."""
    cos, sin = cos.to(vectors.dtype), sin.to(vectors.dtype)
    one, other = vectors.chunk(2, -1)
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


def _numbers(counts: Sequence[int]) -> Tensor:
    """0 for the first count, 1 for the next, and so on."""
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
