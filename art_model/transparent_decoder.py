"""The transparent decoder: latents of all regions of a design back into RGBA, all of them jointly.

A small vision transformer after ART (arXiv 2502.18364, section 3.3): one token per latent pixel, one 8 × 8 RGBA patch
out of each, rotary positions (layer, y, x) on the canvas, attention over all regions of a design. Three things are
ours, which let a small one learn from little. Attention stays within windows that hold all layers. Each token is told
the latents of the merged image and the background at its place: colour over a known background gives alpha away where
one region's latents leave it open (opaque gray or transparent?). And patches are not drawn from nothing: a small
network on each pixel sees what the RGB autoencoder draws here, in the merged image and in the background, and what the
token has to say about the pixel; a few convolutions then see the same pictures and the patches put together, so that
outlines go on from patch to patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from art_model.autoencoder import decode_regions
from art_model.regions import FIRST_FOREGROUND, Region, Regions
from art_model.windowed_attention import Block, rotation_of, windows_of
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.pixels import clear_hidden, round_to_uint8

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"

_SEEN = 1 + FIRST_FOREGROUND  # at a token's place: its own region, merged image, background
_ROLES = FIRST_FOREGROUND + 1  # merged, background, and any foreground: so the number of layers has no limit


class DecoderConfig(BaseModel):
    """The decoder's shape.

    Attributes:
        latent_channels: of the RGB autoencoder.
        patch: pixels of a latent pixel's side.
        width, heads, blocks, mlp: of the transformer; `mlp` is the hidden width.
        pixel_features: what a token says about each of its pixels.
        pixel_width: of the network on pixels.
        refine_width: of the convolutions.
        rope_axes: channels of a head for layer, y and x; even, in sum the width of a head.
        rope_theta: slowest wavelength of the rotary positions, in latent pixels over 2π.
        window: side of the windows of attention in latent pixels; even.
        scope: what is seen: all regions of a `design`, or each `region` alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latent_channels: int = Field(16, ge=1)
    patch: int = Field(8, ge=1)
    width: int = Field(128, ge=1)
    heads: int = Field(4, ge=1)
    blocks: int = Field(4, ge=1)
    mlp: int = Field(256, ge=1)
    pixel_features: int = Field(8, ge=1)
    pixel_width: int = Field(24, ge=1)
    refine_width: int = Field(24, ge=1)
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
        pixels = config.patch**2
        self.embed = nn.Linear(_SEEN * config.latent_channels, config.width)
        self.role = nn.Embedding(_ROLES, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.mlp) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.pixel_features * pixels)
        self.pixels = nn.Sequential(
            nn.Linear(3 * _SEEN + config.pixel_features, config.pixel_width),
            nn.ReLU(),
            nn.Linear(config.pixel_width, config.pixel_width),
            nn.ReLU(),
            nn.Linear(config.pixel_width, 4),
        )
        last = nn.Conv2d(config.refine_width, 4, 3, padding=1)
        for weight in last.parameters():
            nn.init.zeros_(weight)  # begins as a network without convolutions
        self.refine = nn.Sequential(
            nn.Conv2d(4 + 3 * _SEEN, config.refine_width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.refine_width, config.refine_width, 3, padding=1),
            nn.ReLU(),
            last,
        )
        self.alpha = nn.Parameter(torch.tensor([1.0, 1.0, 0.5]))
        nn.init.normal_(self.role.weight, std=0.02)

    def forward(self, latents: Sequence[Tensor], drawn: Sequence[Tensor], regions: Regions) -> list[Tensor]:
        """One design.

        Args:
            latents: per region ``[channels, height, width]`` of its aligned box, as `encode_regions` gives them.
            drawn: what `decode_regions` makes of them, ``[3, patch · height, patch · width]``.
            regions: merged and background first.

        Returns:
            Per region ``[4, aligned height, aligned width]``: straight RGB in −1…1 and alpha in 0…1, both apart from
            what a linear output overshoots.
        """
        return self.packed([(latents, drawn, regions)])[0]

    def packed(self, samples: Sequence[tuple[Sequence[Tensor], Sequence[Tensor], Regions]]) -> list[list[Tensor]]:
        """`forward` for many designs of any sizes at once; none sees another.

        Raises:
            ValueError: when latents and regions do not fit each other.
        """
        placed = [
            (own, region)
            for latents, _, regions in samples
            for own, region in zip(latents, regions.items, strict=True)
        ]  # fmt: skip
        pictures = [picture for _, drawn, _ in samples for picture in drawn]
        for (own, region), picture in zip(placed, pictures, strict=True):
            self._check(own, picture, region)
        device = self.head.weight.device
        tokens = torch.cat([own.flatten(1).T for own, _ in placed]).to(device)
        colors = torch.cat([self._of_tokens(picture) for picture in pictures]).to(device)
        lengths = [own.shape[1] * own.shape[2] for own, _ in placed]
        roles = torch.tensor([min(region.layer, _ROLES - 1) for _, region in placed])
        positions = torch.cat([self._positions(own, region) for own, region in placed])
        counts = [len(latents) for latents, *_ in samples]
        groups = torch.arange(len(placed)) if self.config.scope == "region" else _numbers(counts)
        of_token = torch.tensor(lengths)
        patches = self._patches(
            tokens,
            colors,
            self._seen(positions, lengths, counts).to(device),
            roles.repeat_interleave(of_token).to(device),
            positions.to(device),
            groups.repeat_interleave(of_token).to(device),
        )
        by_region = torch.split_with_sizes(patches, lengths)
        decoded = [self._refined(self._picture(patch, own)) for patch, (own, _) in zip(by_region, placed, strict=True)]
        ends = [0, *accumulate(counts)]
        return [decoded[start:end] for start, end in pairwise(ends)]

    @torch.no_grad()
    def decode(self, vae: Any, latents: Sequence[Tensor], regions: Regions) -> list[UInt8Array]:
        """Per region straight 8-bit RGBA of its exact box; RGB is 0 where alpha is 0. `vae` made the latents."""
        decoded = self(latents, decode_regions(vae, latents), regions)
        return [cut_to_box(rgba, region) for rgba, region in zip(decoded, regions.items, strict=True)]

    def _patches(
        self, tokens: Tensor, colors: Tensor, seen: Tensor, roles: Tensor, positions: Tensor, groups: Tensor
    ) -> Tensor:
        """RGBA and the pictures it was made from, ``[n, pixels, 4 + 9]``, from latents ``[n, channels]`` and drawn
        colours ``[n, 3, pixels]``.

        Only tokens of one group see each other.
        """
        config = self.config
        # The row after the last token is what stands where nothing is to be seen.
        latents = F.pad(tokens, (0, 0, 0, 1))[seen]
        pictures = F.pad(colors, (0, 0, 0, 0, 0, 1))[seen].flatten(1, 2)
        windows = [windows_of(groups, positions, config.window, shift) for shift in (0, config.window // 2)]
        rotation = rotation_of(positions, config.rope_axes, config.rope_theta)
        hidden = self.embed(latents.flatten(1)) + self.role(roles)
        for number, block in enumerate(self.blocks):
            hidden = block(hidden, rotation, windows[number % 2])
        features = self.head(self.norm(hidden)).view(len(seen), config.pixel_features, -1)
        found = self.pixels(torch.cat([pictures, features], 1).transpose(1, 2)).float()
        alpha = self.alpha[roles][:, None, None].expand(-1, found.shape[1], 1)
        seen_here = pictures.transpose(1, 2).float()
        return torch.cat([found + torch.cat([seen_here[..., :3], alpha], -1), seen_here], -1)

    def _refined(self, picture: Tensor) -> Tensor:
        """RGBA ``[4, h, w]`` from RGBA and pictures ``[4 + 9, h, w]``."""
        changes: Tensor = self.refine(picture[None])[0].float()
        return picture[:4] + changes

    def _seen(self, positions: Tensor, lengths: Sequence[int], counts: Sequence[int]) -> Tensor:
        """``[n, 3]``: for each token its own number and those of merged image and background at its place.

        Where these have no token, and in a decoder that sees each region alone, the number is n, one behind the last.
        """
        total = len(positions)
        seen = torch.full((total, _SEEN), total)
        seen[:, 0] = torch.arange(total)
        if self.config.scope == "region":
            return seen
        starts = [0, *accumulate(lengths)]
        first = 0
        for count in counts:
            own = slice(starts[first], starts[first + count])
            y, x = positions[own, 1:].long().unbind(1)
            for column in range(1, _SEEN):
                start, end = starts[first + column - 1], starts[first + column]
                rows, columns = (positions[start:end, 1:].amax(0).long() + 1).tolist()
                inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
                seen[own, column] = torch.where(inside, start + y * columns + x, total)
            first += count
        return seen

    def _check(self, latents: Tensor, drawn: Tensor, region: Region) -> None:
        patch, size = self.config.patch, (region.aligned.height, region.aligned.width)
        wanted = self.config.latent_channels, size[0] // patch, size[1] // patch
        for what, found, shape in (("latents", latents, wanted), ("a drawn picture", drawn, (3, *size))):
            if tuple(found.shape) != shape:
                raise ValueError(
                    f"layer {region.layer}: {what} of shape {list(found.shape)} where its aligned box "
                    f"{region.aligned.as_list()} needs {list(shape)}"
                )

    def _positions(self, latents: Tensor, region: Region) -> Tensor:
        """``[h · w, 3]``: layer, y, x in latent pixels of the canvas; negative where the region overflows."""
        y, x = (torch.arange(size, dtype=torch.float32) for size in latents.shape[1:])
        top, left = region.aligned.y0 // self.config.patch, region.aligned.x0 // self.config.patch
        return F.pad(torch.cartesian_prod(y + top, x + left), (1, 0), value=region.layer)

    def _of_tokens(self, drawn: Tensor) -> Tensor:
        """A picture ``[3, h, w]`` cut into its tokens' patches ``[n, 3, pixels]``."""
        patch = self.config.patch
        return F.pixel_unshuffle(drawn[None], patch)[0].flatten(1).T.reshape(-1, 3, patch**2)

    def _picture(self, patches: Tensor, latents: Tensor) -> Tensor:
        grid = patches.permute(2, 1, 0).reshape(1, -1, *latents.shape[1:])
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


def _numbers(counts: Sequence[int]) -> Tensor:
    """0 for the first count, 1 for the next, and so on."""
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
