"""The transparent decoder: latents of all regions of a design back into RGBA, all of them jointly.

A small vision transformer after ART (arXiv 2502.18364, section 3.3): one token per latent pixel, one 8 × 8 RGBA patch
out of each, rotary positions (layer, y, x) on the canvas, attention over all regions of a design. What one region's
latents leave open, such as opaque gray against transparent, the merged image and the other layers tell. A linear map
from latent to patch runs beside the transformer, which has only to learn what is not linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from art_model.regions import FIRST_FOREGROUND, Region, Regions
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.pixels import clear_hidden, round_to_uint8

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"

_ROLES = FIRST_FOREGROUND + 1  # merged, background, and any foreground: so the number of layers has no limit


class DecoderConfig(BaseModel):
    """The decoder's shape.

    Attributes:
        latent_channels: of the RGB autoencoder.
        patch: pixels of a latent pixel's side.
        width, heads, blocks, mlp: of the transformer; `mlp` is the hidden width.
        rope_axes: channels of a head for layer, y and x; even, in sum the width of a head.
        rope_theta: slowest wavelength of the rotary positions, in latent pixels over 2π.
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
        spans = lengths if self.config.scope == "region" else _sums(lengths, [len(latents) for latents, _ in samples])
        patches = self._patches(tokens, role_of_token, positions, spans).split(lengths)
        pictures = [self._picture(patch, own) for patch, (own, _) in zip(patches, placed, strict=True)]
        ends = [0, *accumulate(len(latents) for latents, _ in samples)]
        return [pictures[start:end] for start, end in pairwise(ends)]

    @torch.no_grad()
    def decode(self, latents: Sequence[Tensor], regions: Regions) -> list[UInt8Array]:
        """Per region straight 8-bit RGBA of its exact box; RGB is 0 where alpha is 0."""
        decoded = self(latents, regions)
        return [cut_to_box(rgba, region) for rgba, region in zip(decoded, regions.items, strict=True)]

    def _patches(self, tokens: Tensor, roles: Tensor, positions: Tensor, spans: Sequence[int]) -> Tensor:
        """``[n, channels]`` to ``[n, 4 · patch²]``."""
        rotation = _rotation(positions, self.config)
        hidden = self.embed(tokens) + self.role(roles)
        for block in self.blocks:
            hidden = block(hidden, rotation, spans)
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

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], spans: Sequence[int]) -> Tensor:
        query, key, value = self.qkv(self.norm1(hidden)).unflatten(-1, (3, self.heads, -1)).unbind(1)
        query, key = _rotated(query, *rotation), _rotated(key, *rotation)
        attended = [
            F.scaled_dot_product_attention(*(part.transpose(0, 1)[None] for part in parts))[0].transpose(0, 1)
            for parts in zip(*(whole.split(list(spans)) for whole in (query, key, value)), strict=True)
        ]
        hidden = hidden + self.out(torch.cat(attended).flatten(1))
        added: Tensor = hidden + self.down(F.gelu(self.up(self.norm2(hidden)), approximate="tanh"))
        return added


def _rotation(positions: Tensor, config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[n, 1, head width / 2]`` of rotary positions ``[n, 3]``, one stretch of channels per axis."""
    angles = []
    for axis, channels in enumerate(config.rope_axes):
        exponents = torch.arange(0, channels, 2, dtype=torch.float32, device=positions.device) / channels
        angles.append(positions[:, axis, None] * config.rope_theta**-exponents)
    angle = torch.cat(angles, 1)[:, None]
    return angle.cos(), angle.sin()


def _rotated(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys ``[n, heads, head width]``, turned; a pair is channel i and i + half."""
    cos, sin = cos.to(vectors.dtype), sin.to(vectors.dtype)
    one, other = vectors.chunk(2, -1)
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


def _sums(lengths: Sequence[int], counts: Sequence[int]) -> list[int]:
    """The sums of consecutive groups of `counts` lengths."""
    ends = [0, *accumulate(counts)]
    return [sum(lengths[start:end]) for start, end in pairwise(ends)]
