"""Transparent pictures into the latents of an ordinary RGB autoencoder, region by region, and what it draws of them.

ART (arXiv 2502.18364, section 3.3) writes alpha into colour, (0.5α + 0.5)·RGB with RGB in −1…1, so that any frozen RGB
autoencoder can take it. What is invisible must be mid-gray, 0, first: zeros at rest would be −1 and read as opaque dark
gray. Each region is encoded as its own crop, never as a full canvas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_model.regions import FIRST_FOREGROUND, Region, Regions
from layered.arrays import UInt8Array

MARGIN = 16
"""Pixels of gray around a foreground's crop while it is encoded."""


def prepare(rgba: UInt8Array) -> Tensor:
    """Straight 8-bit RGBA ``[h, w, 4]`` to float32 ``[3, h, w]`` in −1…1: (0.5α + 0.5)·RGB, exactly 0 where α is 0.

    Raises:
        ValueError: for anything but 8-bit RGBA; an opaque picture needs its alpha of 255 too.
    """
    if rgba.ndim != 3 or rgba.shape[2] != 4 or rgba.dtype != np.uint8:
        raise ValueError(f"RGBA of uint8 [h, w, 4] is needed, not {rgba.dtype} {list(rgba.shape)}")
    pixels = torch.from_numpy(np.ascontiguousarray(rgba)).permute(2, 0, 1).float() / 255
    color, alpha = pixels[:3], pixels[3:]
    return (0.5 * alpha + 0.5) * (2 * color - 1) * (alpha > 0)


def encode_regions(vae: Any, images: Sequence[UInt8Array], regions: Regions, *, margin: int = MARGIN) -> list[Tensor]:
    """The latents of one design's regions.

    Args:
        vae: a diffusers `AutoencoderKL` over RGB; its ``scaling_factor`` and ``shift_factor`` are applied.
        images: straight RGBA of each region, merged and background first, exactly the size of ``region.box``.
        regions: where they stand.
        margin: pixels of gray around the crops of foregrounds, a multiple of the autoencoder's factor; the latents of
            the margin are cut off. Merged and background are encoded as they are.

    Returns:
        Per region the posterior mean ``[channels, height, width]`` of ``region.aligned``, one latent pixel for each
        factor × factor pixels: ``[16, 2·rows, 2·columns]`` for FLUX. What lies between the exact and the aligned box is
        gray, and so is the part of a canvas that fills no whole token.

    Raises:
        ValueError: when images and regions do not fit each other, or an image is no 8-bit RGBA.
    """
    return encode_samples(vae, [(images, regions)], margin=margin)[0]


def encode_samples(
    vae: Any, samples: Sequence[tuple[Sequence[UInt8Array], Regions]], *, margin: int = MARGIN, batch: int = 8
) -> list[list[Tensor]]:
    """`encode_regions` for many designs: crops of equal size, whatever design they belong to, share a batch."""
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    if margin < 0 or margin % factor:
        raise ValueError(f"margin {margin} must be a multiple of the autoencoder's factor {factor}")
    groups: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
    for sample, (images, regions) in enumerate(samples):
        if len(images) != len(regions.items):
            raise ValueError(f"{len(images)} images for {len(regions.items)} regions, merged and background included")
        for index, region in enumerate(regions.items):
            groups[(*region.aligned.size, _margin(region, margin))].append((sample, index))
    latents: list[list[Tensor]] = [[torch.empty(0)] * len(regions.items) for _, regions in samples]
    for (*_, around), members in groups.items():
        cut = around // factor
        for start in range(0, len(members), batch):
            part = members[start : start + batch]
            crops = [_crop(samples[s][0][i], samples[s][1].items[i], around) for s, i in part]
            encoded = _encode(vae, torch.stack(crops))
            height, width = encoded.shape[2] - 2 * cut, encoded.shape[3] - 2 * cut
            for (s, i), own in zip(part, encoded[:, :, cut : cut + height, cut : cut + width], strict=True):
                latents[s][i] = own.clone()
    return latents


@torch.no_grad()
def decode_regions(vae: Any, latents: Sequence[Tensor], *, batch: int = 8) -> list[Tensor]:
    """What the RGB autoencoder itself draws of regions' latents: (0.5α + 0.5)·RGB, which is not yet transparent.

    Args:
        latents: ``[channels, h, w]`` each, as `encode_regions` gives them; equal sizes share a batch.

    Returns:
        Per region float32 ``[3, factor · h, factor · w]`` in −1…1.
    """
    groups: dict[torch.Size, list[int]] = defaultdict(list)
    for index, own in enumerate(latents):
        groups[own.shape].append(index)
    pictures = [torch.empty(0)] * len(latents)
    for members in groups.values():
        for start in range(0, len(members), batch):
            part = members[start : start + batch]
            stacked = torch.stack([latents[index] for index in part]).to(device=vae.device, dtype=vae.dtype)
            decoded = vae.decode(stacked / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)).sample
            for index, own in zip(part, decoded.float().clamp(-1, 1), strict=True):
                pictures[index] = own.clone()
    return pictures


def _margin(region: Region, margin: int) -> int:
    return margin if region.layer >= FIRST_FOREGROUND else 0


def _crop(rgba: UInt8Array, region: Region, margin: int) -> Tensor:
    """The prepared picture on gray, as large as the aligned box and the margin around it."""
    if rgba.shape[:2] != (region.box.height, region.box.width):
        raise ValueError(
            f"layer {region.layer}: an image of {rgba.shape[1]}×{rgba.shape[0]} pixels does not fill its box "
            f"{region.box.as_list()}"
        )
    inner = region.inner()
    crop = torch.zeros(3, region.aligned.height + 2 * margin, region.aligned.width + 2 * margin)
    crop[:, margin + inner.y0 : margin + inner.y1, margin + inner.x0 : margin + inner.x1] = prepare(rgba)
    return crop


@torch.no_grad()
def _encode(vae: Any, images: Tensor) -> Tensor:
    """Posterior means in float32, normalised as the transformer sees them."""
    mean = vae.encode(images.to(device=vae.device, dtype=vae.dtype)).latent_dist.mean.float()
    normalised: Tensor = (mean - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor
    return normalised
