"""Sprites as recognisers will really meet them: moved, soft, noisy, imperfectly cut out, over the flat gray."""

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.recipes.sprites import place
from models.vocabulary import load_vocabulary

SOURCE_SIDE = 96


@functools.cache
def all_sprites() -> Tensor:
    """Every label in every style, premultiplied uint8 [labels, styles, 4, 96, 96], the longer side filling the
    frame."""
    vocabulary = load_vocabulary()
    rendered = [
        [np.asarray(place(label, style, 0.95, (0.0, 0.0), 128).convert("RGBa")) for style in vocabulary.styles]
        for label in vocabulary.labels
    ]
    stacked = torch.from_numpy(np.array(rendered)).permute(0, 1, 4, 2, 3)
    reduced = F.interpolate(
        stacked.flatten(0, 1).float(), size=(SOURCE_SIDE, SOURCE_SIDE), mode="bilinear", antialias=True
    )
    return reduced.round().byte().view(*stacked.shape[:3], SOURCE_SIDE, SOURCE_SIDE)


def drawn_layers(
    labels: Tensor, styles: Tensor, side: int, scale: tuple[float, float], rng: torch.Generator, mirror: bool = True
) -> Tensor:
    """Degraded layers over 0.5 gray, float [n, 3, side, side] in 0 … 1.

    Args:
        labels, styles: Indices into the vocabulary's `labels` and `styles`, [n].
        scale: Range of the sprite's longer side as a part of the frame.
    """
    count = len(labels)
    sprites = all_sprites()[labels, styles].float() / 255

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=rng)

    # Geometry: size, a little rotation and stretch, position inside the frame, mirrored one time in two.
    size, angle, stretch = uniform(*scale), uniform(-0.14, 0.14), uniform(0.93, 1.07)
    flip = torch.where((torch.rand(count, generator=rng) < 0.5) & mirror, -1.0, 1.0)
    room = (1.06 - size).clamp_min(0.02)
    dx, dy = uniform(-1, 1) * room * 0.6, uniform(-1, 1) * room * 0.6
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    affine = torch.stack(
        [
            torch.stack([flip * cos * stretch, flip * sin, -flip * (cos * dx + sin * dy)], 1),
            torch.stack([-sin, cos / stretch, sin * dx - cos * dy], 1),
        ],
        1,
    )
    grid = F.affine_grid(affine, [count, 4, side, side], align_corners=False)
    moved = F.grid_sample(sprites, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    rgb = moved[:, :3] + 0.5 * (1 - moved[:, 3:])
    # Light and colour, kept small: colour is part of what a shape is called.
    rgb = 0.5 + (rgb - 0.5) * uniform(0.85, 1.12, 1, 1, 1) + uniform(-0.04, 0.04, 3, 1, 1) * moved[:, 3:]
    # Softness: each batch is drawn once at a lower resolution and mixed in by sample.
    low = int(torch.randint(side // 3, side, (), generator=rng))
    soft = F.interpolate(F.interpolate(rgb, size=(low, low), mode="area"), size=(side, side), mode="bilinear")
    rgb = torch.lerp(rgb, soft, (uniform(-0.4, 1.0, 1, 1, 1)).clamp_min(0))
    # What a diffusion model leaves behind: blotches of a few pixels and fine noise.
    blotches = F.interpolate(
        torch.randn(count, 3, side // 8, side // 8, generator=rng), size=(side, side), mode="bilinear"
    )
    fine = torch.randn(rgb.shape, generator=rng)
    weight = moved[:, 3:] * 0.9 + 0.1
    rgb = rgb + weight * (uniform(-0.05, 0.09, 1, 1, 1).clamp_min(0) * blotches)
    rgb = rgb + weight * (uniform(-0.03, 0.05, 1, 1, 1).clamp_min(0) * fine)
    return rgb.clamp(0, 1)
