"""Designs and their latents for the transparent decoder, computed once.

    python -m models.recipes.decoder_cache --designs 5000

Writes `models/recipes/checkpoints/art_decoder/part_00000.safetensors` … of 200 designs each; parts that are there are
kept, and the trainer may read while this still writes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from art_model.autoencoder import decode_regions, encode_samples
from art_model.regions import Regions, regions_of
from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.image import LayeredImage
from models.recipes.art_latents import load_vae
from models.recipes.decoder_designs import TRAINING, draw_decoder_design
from models.recipes.drawings import CHECKPOINTS

FOLDER: Final = CHECKPOINTS / "art_decoder"
PART: Final = 200  # designs in a file
LATENT_NOISE: Final = 0.1  # at most, in standard deviations: sampled latents are not perfect


@dataclass(frozen=True)
class Example:
    """One design as the decoder sees it.

    Attributes:
        regions: merged, background, foregrounds.
        latents: per region ``[16, height / 8, width / 8]`` of its aligned box, in half precision.
        drawn: what the RGB autoencoder makes of them, uint8 ``[3, height, width]``: 0…255 for −1…1.
        pictures: per region uint8 ``[4, height, width]`` of its exact box, straight RGBA.
    """

    regions: Regions
    latents: tuple[Tensor, ...]
    drawn: tuple[Tensor, ...]
    pictures: tuple[Tensor, ...]


def pictures_of(image: LayeredImage) -> list[UInt8Array]:
    """RGBA of the merged image, the background and the foregrounds, as `encode_regions` takes them."""
    return [opaque(image.whole()), opaque(image.base), *(layer.pixels for layer in image.layers)]


def regions_in(image: LayeredImage) -> Regions:
    return regions_of(image.canvas, [layer.box for layer in image.layers])


def opaque(rgb: UInt8Array) -> UInt8Array:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)


def encode_designs(vae: Any, images: Sequence[LayeredImage], seeds: Sequence[int]) -> list[Example]:
    """Exact designs with the latents of their regions, spoilt a little, and what the RGB autoencoder makes of these."""
    samples = [(pictures_of(image), regions_in(image)) for image in images]
    examples = []
    for (pictures, regions), exact, seed in zip(samples, encode_samples(vae, samples), seeds, strict=True):
        latents = _noised(exact, seed)
        drawn = decode_regions(vae, [own.float() for own in latents])
        examples.append(
            Example(
                regions,
                latents,
                tuple(((own + 1) * 127.5).round().to(torch.uint8) for own in drawn),
                tuple(torch.from_numpy(picture.copy()).permute(2, 0, 1).contiguous() for picture in pictures),
            )
        )
    return examples


def drawn_colors(example: Example) -> list[Tensor]:
    """`Example.drawn` as the decoder takes it."""
    return [own.float() / 127.5 - 1 for own in example.drawn]


def _noised(latents: Sequence[Tensor], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    strength = LATENT_NOISE * torch.rand((), generator=generator)
    return tuple((own + strength * torch.randn(own.shape, generator=generator)).half() for own in latents)


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """All examples in one file, which appears when it is whole."""
    facts = [
        {"canvas": list(each.regions.canvas), "boxes": [region.box.as_list() for region in each.regions.items[2:]]}
        for each in examples
    ]
    tensors = {
        "latents": torch.cat([own.flatten() for each in examples for own in each.latents]),
        "drawn": torch.cat([own.flatten() for each in examples for own in each.drawn]),
        "pictures": torch.cat([own.flatten() for each in examples for own in each.pictures]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path.with_suffix(".tmp"), metadata={"designs": json.dumps(facts)})
    path.with_suffix(".tmp").replace(path)


def read_examples(path: Path) -> list[Example]:
    """The examples of a file of `write_examples`."""
    with safe_open(path, "pt") as stored:
        whole = {name: stored.get_tensor(name) for name in ("latents", "drawn", "pictures")}
        facts = json.loads(stored.metadata()["designs"])
    examples, at = [], dict.fromkeys(whole, 0)

    def take(name: str, *shape: int) -> Tensor:
        start = at[name]
        at[name] = start + math.prod(shape)
        part: Tensor = whole[name][start : at[name]].view(shape)
        return part

    for entry in facts:
        canvas: Size = (entry["canvas"][0], entry["canvas"][1])
        regions = regions_of(canvas, [Box.of(box) for box in entry["boxes"]])
        latents = tuple(take("latents", 16, 2 * region.rows, 2 * region.columns) for region in regions.items)
        drawn = tuple(take("drawn", 3, region.aligned.height, region.aligned.width) for region in regions.items)
        pictures = tuple(take("pictures", 4, region.box.height, region.box.width) for region in regions.items)
        examples.append(Example(regions, latents, drawn, pictures))
    return examples


def parts() -> list[Path]:
    """The files that are there by now."""
    return sorted(FOLDER.glob("part_*.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=5000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vae = load_vae()
    begun = time.time()
    for first in range(0, arguments.designs, PART):
        path = FOLDER / f"part_{first // PART:05d}.safetensors"
        if not path.exists():
            seeds = range(first, first + PART)
            images = [draw_decoder_design(np.random.default_rng([TRAINING, seed])) for seed in seeds]
            write_examples(path, encode_designs(vae, images, seeds))
            print(f"{path.name} {time.time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
