"""Training pictures for the matting network: exact layers over flat colours, spoilt as generators spoil them.

    python -m models.recipes.matting_data        writes models/recipes/checkpoints/drawings/matting_layers.npy

Layers are rendered once; what happens to them (size, place, colours, background, noise, blur, JPEG, the embedded
autoencoder) is drawn anew each time.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from layered.arrays import UInt8Array
from layered.torchvision_cure import ensure_torchvision
from models import TINY
from models.recipes import matting_objects as objects
from models.recipes import matting_wisps as wisps
from models.recipes.drawings import DRAWINGS
from models.recipes.matting_textures import Values

SIDE: Final = 384
POOL: Final = 3000
POOL_PATH: Final = DRAWINGS / "matting_layers.npy"
GRAY: Final = 128 / 255
_SMALLEST_DRAWING: Final = 64

Render = Callable[[int, np.random.Generator], Values]

_KINDS: Final[dict[Render, float]] = {
    objects.solid: 0.33, objects.sprite: 0.1, objects.lettering: 0.08, objects.thin_structure: 0.05,
    wisps.hairy: 0.14, wisps.smoke: 0.08, wisps.fire: 0.05, wisps.light: 0.04, wisps.glass: 0.07, wisps.veil: 0.01,
    wisps.burning: 0.05,
}  # fmt: skip
_EFFECTS: Final = ((wisps.with_shadow, 0.25), (wisps.reflected, 0.06), (wisps.moved, 0.06), (wisps.glowing, 0.06))


def render_layer(seed: int) -> Values:
    """One layer of a random kind, premultiplied RGBA ``[384, 384, 4]`` in 0…1, from its number alone."""
    rng = np.random.default_rng([50, seed])
    kind = _random_kind(rng)
    layer = kind(SIDE, rng)
    if kind in (objects.solid, objects.sprite, objects.lettering, wisps.hairy):
        chance = rng.random()
        for effect, share in _EFFECTS:
            if chance < share:
                layer = effect(layer, rng)
                break
            chance -= share
    layer = np.clip(layer, 0, 1)
    layer[..., :3] = np.minimum(layer[..., :3], layer[..., 3:])
    return layer


def layer_kind(seed: int) -> str:
    """What `render_layer` shows for this number: `solid`, `hairy`, `smoke` and so on."""
    return _random_kind(np.random.default_rng([50, seed])).__name__


def _random_kind(rng: np.random.Generator) -> Render:
    kinds = list(_KINDS)
    return kinds[rng.choice(len(kinds), p=list(_KINDS.values()))]


def layer_pool() -> UInt8Array:
    """The rendered layers, premultiplied uint8 ``[3000, 384, 384, 4]``, read from disk as they are needed."""
    pool: UInt8Array = np.load(POOL_PATH, mmap_mode="r")
    return pool


@dataclass(frozen=True)
class Batch:
    """What the network sees, and what it should find.

    Attributes:
        pictures: ``[n, 3, side, side]`` in 0…1, in steps of 1/255.
        backgrounds: the colour that is told to the network, ``[n, 3]``.
        layers: the true premultiplied RGBA, ``[n, 4, side, side]``.
        clean: the picture before it was spoilt, ``[n, 3, side, side]``.
    """

    pictures: Tensor
    backgrounds: Tensor
    layers: Tensor
    clean: Tensor


def make_batch(pool: UInt8Array, count: int, side: int, rng: np.random.Generator) -> Batch:
    """A random batch; `side` is a multiple of 64."""
    small = rng.random() < 0.35
    low = int(side * (0.375, 0.5, 0.25)[rng.choice(3, p=(0.6, 0.2, 0.2))]) if small else side
    # The autoencoder is at home with drawings over gray, and costs as much as a step of training where they are large.
    drawn = low >= _SMALLEST_DRAWING and rng.random() < (0.5 if small else 0.06)
    layers = torch.stack([_placed(pool[_number(len(pool), small, rng)], side, rng) for _ in range(count)])
    layers = _recolored(layers, rng)
    colors = [np.full(3, GRAY, np.float32) if drawn else _background(rng) for _ in range(count)]
    backgrounds = torch.from_numpy(np.stack(colors))
    layers = _with_gray_parts_and_holes(layers, backgrounds, rng)
    if small:
        # What small generators draw is enlarged before it is matted.
        layers = _kept_sane(F.interpolate(layers, size=(low, low), mode="bicubic", antialias=True))
    elif rng.random() < 0.25:
        layers = _blurred(layers, float(rng.uniform(0.4, 1.4)))
    flat = backgrounds[:, :, None, None]
    clean = layers[:, :3] + (1 - layers[:, 3:]) * (flat + _unevenness(layers, rng))
    pictures = _spoilt(clean, drawn, rng)
    told = _seen_backgrounds(pictures, layers, backgrounds)
    if small:
        size = (side, side)
        pictures = F.interpolate(pictures, size=size, mode="bicubic").clamp(0, 1)
        layers = _kept_sane(F.interpolate(layers, size=size, mode="bicubic"))
        clean = layers[:, :3] + (1 - layers[:, 3:]) * flat
    told = told + torch.from_numpy(rng.normal(0, 0.6 / 255, (count, 3))).float()
    return Batch(_in_steps(pictures), _in_steps(told), layers, clean)


def _seen_backgrounds(pictures: Tensor, layers: Tensor, backgrounds: Tensor) -> Tensor:
    """The mean colour where nothing lies above the background, as it would be estimated; else the true one."""
    empty = (layers[:, 3:] < 0.004).float()
    count = empty.sum((2, 3))
    seen = (pictures * empty).sum((2, 3)) / count.clamp_min(1)
    return torch.where(count > 0.02 * empty[0].numel(), seen, backgrounds)


def _number(count: int, small: bool, rng: np.random.Generator) -> int:
    """Which of the pool's first layers to take; of small pictures, every second shows what small generators draw."""
    if small and rng.random() < 0.5:
        sprites = [number for number in _sprite_numbers() if number < count]
        return sprites[rng.integers(len(sprites))]
    return int(rng.integers(count))


@functools.cache
def _sprite_numbers() -> tuple[int, ...]:
    return tuple(number for number in range(POOL) if layer_kind(number) == objects.sprite.__name__)


def _placed(layer: UInt8Array, side: int, rng: np.random.Generator) -> Tensor:
    """A layer turned, scaled and shifted into a frame ``[4, side, side]``; something of it stays in sight."""
    pixels = torch.from_numpy(np.array(layer)).permute(2, 0, 1).float() / 255
    pixels = torch.rot90(pixels, int(rng.choice([0, 0, 0, 1, 2, 3])), (1, 2))
    if rng.random() < 0.5:
        pixels = pixels.flip(2)
    if rng.random() < 0.6:
        zoom = math.exp(rng.uniform(math.log(0.3), math.log(1.6))) * max(1.0, side / SIDE) ** 0.5
        size = max(24, round(SIDE * zoom))
        pixels = F.interpolate(pixels[None], size=(size, size), mode="bicubic", antialias=True)[0]
    size = pixels.shape[1]
    shown = np.argwhere(pixels[3, ::4, ::4].numpy() > 0.1) * 4
    # A visible pixel of the layer, and where in the frame it comes to lie.
    anchor = shown[rng.integers(len(shown))] if len(shown) else np.array([size // 2, size // 2])
    if size <= side:
        top, left = (int(rng.integers(0, side - size + 1)) for _ in range(2))
        return _kept_sane(F.pad(pixels, (left, side - size - left, top, side - size - top)))
    y, x = (int(np.clip(at - rng.integers(0, side), 0, size - side)) for at in anchor)
    return _kept_sane(pixels[:, y : y + side, x : x + side])


def _recolored(layers: Tensor, rng: np.random.Generator) -> Tensor:
    """Light and channels changed; a third become nearly gray."""
    count = len(layers)
    gain = torch.from_numpy(rng.uniform(0.75, 1.2, (count, 3, 1, 1))).float()
    lift = torch.from_numpy(rng.normal(0, 0.05, (count, 3, 1, 1))).float()
    rgb, alpha = layers[:, :3], layers[:, 3:]
    faded = torch.from_numpy((rng.random((count, 1, 1, 1)) < 0.2) * rng.uniform(0.6, 1, (count, 1, 1, 1))).float()
    rgb = torch.lerp(rgb, rgb.mean(1, keepdim=True).expand_as(rgb), faded)
    order = torch.from_numpy(rng.permutation(3)) if rng.random() < 0.2 else torch.arange(3)
    return _kept_sane(torch.cat([rgb[:, order] * gain + alpha * lift, alpha], dim=1))


def _with_gray_parts_and_holes(layers: Tensor, backgrounds: Tensor, rng: np.random.Generator) -> Tensor:
    """What a matte confuses most: parts of an object in almost the background's colour, and holes that show the very
    background. Both have the outlines of the batch's other layers. Few layers are emptied."""
    count, side = len(layers), layers.shape[-1]
    size = int(side * rng.uniform(0.12, 0.7))
    # They lie towards the middle, where most layers are.
    top, left = (int(np.clip(rng.normal(0.5, 0.2) * (side - size), 0, side - size)) for _ in range(2))
    stencil = F.interpolate(layers[:, 3:].roll(1, 0).flip(3), size=(size, size), mode="bilinear", antialias=True)
    stencil = F.pad(stencil, (left, side - size - left, top, side - size - top)).clamp(0, 1)
    chance = torch.from_numpy(rng.random((count, 1, 1, 1))).float()
    off = rng.choice((-1, 1), (count, 1, 1, 1)) * rng.uniform(5, 60, (count, 1, 1, 1)) / 255
    off = off + rng.normal(0, 0.012, (count, 3, 1, 1))
    gray = (backgrounds[:, :, None, None] + torch.from_numpy(off).float()).clamp(0, 1)
    rgb, alpha = layers[:, :3], layers[:, 3:]
    part = torch.where(chance < 0.4, stencil, 0.0)
    hole = torch.where((chance >= 0.4) & (chance < 0.52), stencil, 0.0)
    emptied = (chance < 0.98).float()
    painted = torch.cat([rgb * (1 - part) + alpha * part * gray, alpha], dim=1)
    return painted * (1 - hole) * emptied


def _background(rng: np.random.Generator) -> Values:
    kind = rng.random()
    if kind < 0.48:
        return np.full(3, GRAY, np.float32)
    if kind < 0.6:
        return np.clip(GRAY + rng.normal(0, 0.06) + rng.normal(0, 0.015, 3), 0, 1).astype(np.float32)
    if kind < 0.74:
        return np.full(3, rng.choice([0.0, 1.0, 0.94, 0.06]), np.float32)
    if kind < 0.82:
        return np.array([(0, 0.69, 0.25), (0, 1, 0), (0, 0.28, 0.73)][rng.integers(3)], np.float32)
    return rng.uniform(0, 1, 3).astype(np.float32)


def _unevenness(layers: Tensor, rng: np.random.Generator) -> Tensor:
    """A slow change of the background's light, mostly none, seldom more than 5 of 255."""
    count, side = len(layers), layers.shape[-1]
    strength = np.where(rng.random((count, 1, 1, 1)) < 0.35, np.abs(rng.normal(0, 2.5 / 255, (count, 1, 1, 1))), 0)
    coarse = torch.from_numpy(rng.normal(0, 1, (count, 3, 3, 3)) * strength).float()
    return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)


def _spoilt(clean: Tensor, drawn: bool, rng: np.random.Generator) -> Tensor:
    """What generators and files do to pictures; `drawn` ones pass the embedded autoencoder."""
    pictures = clean
    count = len(clean)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    if rng.random() < 0.15:
        pictures = pictures + (pictures - _blurred(pictures, 1.2)) * float(rng.uniform(0.2, 1.0))
    if drawn:
        pictures = through_vae(pictures.clamp(0, 1), float(rng.uniform(0, 0.05)), generator)
    elif rng.random() < 0.12:
        pictures = torch.stack([_through_jpeg(each, int(rng.integers(55, 97))) for each in pictures])
    sigma = torch.from_numpy(np.abs(rng.normal(1.2, 0.9, (count, 1, 1, 1))) / 255).float()
    noise = torch.randn(pictures.shape, generator=generator)
    if rng.random() < 0.25:
        noise = 3 * _blurred(noise, float(rng.uniform(0.6, 2)))
    return (pictures + sigma * noise).clamp(0, 1)


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255


def through_vae(pictures: Tensor, latent_noise: float = 0, generator: torch.Generator | None = None) -> Tensor:
    """The embedded autoencoder there and back, ``[n, 3, h, w]`` in 0…1, with the noise that a transformer may leave."""
    height, width = pictures.shape[2:]
    padded = F.pad(pictures, (0, -width % 8, 0, -height % 8), mode="replicate")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        latents = _vae().encode(padded * 2 - 1).latent_dist.mean
        latents = latents + latent_noise * torch.randn(latents.shape, generator=generator)
        decoded = _vae().decode(latents).sample
    pixels: Tensor = decoded.float() / 2 + 0.5
    return pixels[..., :height, :width].clone()


@functools.cache
def _vae() -> Any:
    ensure_torchvision()
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(TINY, subfolder="vae", local_files_only=True)
    return vae.float().eval().requires_grad_(False)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of ``[n, c, h, w]``."""
    radius = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])


def _kept_sane(layers: Tensor) -> Tensor:
    """Premultiplied RGBA ``[…, 4, h, w]`` with alpha in 0…1 and no colour above alpha."""
    alpha = layers[..., 3:, :, :].clamp(0, 1)
    return torch.cat([torch.minimum(layers[..., :3, :, :].clamp_min(0), alpha), alpha], dim=-3)


def _in_steps(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255).round() / 255


def _render_bytes(seed: int) -> UInt8Array:
    return np.rint(render_layer(seed) * 255).astype(np.uint8)


def main() -> None:
    DRAWINGS.mkdir(parents=True, exist_ok=True)
    unfinished = POOL_PATH.with_suffix(".tmp")
    pool = open_memmap(unfinished, "w+", np.uint8, (POOL, SIDE, SIDE, 4))
    with ProcessPoolExecutor(2) as workers:
        for index, layer in enumerate(workers.map(_render_bytes, range(POOL), chunksize=16)):
            pool[index] = layer
    pool.flush()
    unfinished.replace(POOL_PATH)
    print(f"{POOL} layers in {POOL_PATH}")


if __name__ == "__main__":
    main()
