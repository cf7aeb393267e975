"""Latent tokens of ART's training designs, computed once.

    python -m models.recipes.art_latents --designs 24000

Writes `models/recipes/checkpoints/art_latents/part_00000.safetensors` … of 400 designs each; what is there is kept. A
part holds the tokens of its designs back to back (merged, background, foregrounds from bottom to top) and, as JSON in
its header, each design's canvas, boxes and contents. The trainer may read while this still writes.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from art_model.autoencoder import encode_samples
from art_model.packing import latents_to_tokens
from art_model.regions import regions_of
from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.torchvision_cure import ensure_torchvision
from models import TINY
from models.recipes.art_designs import HELD_OUT_LOSS, TRAINING, ArtDesign, Contents, draw_art_design
from models.recipes.drawings import CHECKPOINTS

FOLDER = CHECKPOINTS / "art_latents"
PART = 400  # designs in a file
HELD_OUT = "held_out.safetensors"  # designs for the loss that tells when to stop
HELD_OUT_DESIGNS = 128


@dataclass(frozen=True, eq=False)
class LatentDesign:
    """One design: `tokens` [n, 64] of all its regions in half precision, and the `boxes` of its foregrounds."""

    tokens: Tensor
    canvas: Size
    boxes: tuple[Box, ...]
    contents: Contents


def encode(vae: Any, designs: Sequence[ArtDesign]) -> list[Tensor]:
    """The tokens [n, 64] of each design, merged image and background first."""
    samples = []
    for design in designs:
        image = design.image
        pictures = [_opaque(image.whole()), _opaque(image.base), *(layer.pixels for layer in image.layers)]
        samples.append((pictures, regions_of(image.canvas, [layer.box for layer in image.layers])))
    return [torch.cat([latents_to_tokens(own) for own in latents]) for latents in encode_samples(vae, samples)]


def load_vae() -> Any:
    """The tiny model's frozen autoencoder."""
    ensure_torchvision()
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(TINY / "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
    return vae.to(memory_format=torch.channels_last)  # a quarter faster


def write_part(vae: Any, path: Path, stream: int, first: int, count: int) -> None:
    """Draws and encodes the designs `first` … of a stream of `art_designs`; the file appears when it is whole."""
    designs = [draw_art_design(np.random.default_rng([stream, index])) for index in range(first, first + count)]
    tokens = encode(vae, designs)
    facts = [
        {
            "tokens": len(rows),
            "canvas": list(design.image.canvas),
            "boxes": [layer.box.as_list() for layer in design.image.layers],
            "contents": design.contents.as_json(),
        }
        for rows, design in zip(tokens, designs, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"tokens": torch.cat(tokens).half()}, path.with_suffix(".tmp"), metadata={"designs": json.dumps(facts)})
    path.with_suffix(".tmp").replace(path)


def read_part(path: Path) -> list[LatentDesign]:
    """The designs of a file of `write_part`."""
    with safe_open(path, "pt") as stored:
        tokens, facts = stored.get_tensor("tokens"), json.loads(stored.metadata()["designs"])
    rows = tokens.split([entry["tokens"] for entry in facts])
    return [
        LatentDesign(
            own,
            (entry["canvas"][0], entry["canvas"][1]),
            tuple(Box.of(box) for box in entry["boxes"]),
            Contents.from_json(entry["contents"]),
        )
        for own, entry in zip(rows, facts, strict=True)
    ]


def parts() -> list[Path]:
    """The files of training designs that are there by now."""
    return sorted(FOLDER.glob("part_*.safetensors"))


def _opaque(rgb: UInt8Array) -> UInt8Array:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=24000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vae = load_vae()
    begun = time.time()
    if not (FOLDER / HELD_OUT).exists():
        write_part(vae, FOLDER / HELD_OUT, HELD_OUT_LOSS, 0, HELD_OUT_DESIGNS)
    for first in range(0, arguments.designs, PART):
        path = FOLDER / f"part_{first // PART:05d}.safetensors"
        if not path.exists():
            write_part(vae, path, TRAINING, first, PART)
            print(f"{path.name} {time.time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
