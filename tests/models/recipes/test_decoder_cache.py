"""Designs and latents on disk."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.recipes.decoder_cache import Example, pictures_of, read_examples, regions_in, write_examples
from models.recipes.decoder_designs import draw_decoder_design


def tensors_of(example: Example) -> list[Tensor]:
    return [*example.latents, *example.drawn, *example.pictures]


def test_examples_are_read_as_they_were_written(tmp_path: Path) -> None:
    examples = []
    for seed in range(3):
        image = draw_decoder_design(np.random.default_rng([78, seed]))
        regions = regions_in(image)
        latents = tuple(torch.randn(16, 2 * r.rows, 2 * r.columns).half() for r in regions.items)
        drawn = tuple(
            torch.randint(0, 256, (3, r.aligned.height, r.aligned.width), dtype=torch.uint8) for r in regions.items
        )
        pictures = tuple(torch.from_numpy(p.copy()).permute(2, 0, 1).contiguous() for p in pictures_of(image))
        examples.append(Example(regions, latents, drawn, pictures))
    write_examples(tmp_path / "part_00000.safetensors", examples)
    for one, other in zip(examples, read_examples(tmp_path / "part_00000.safetensors"), strict=True):
        assert one.regions == other.regions
        for mine, read in zip(tensors_of(one), tensors_of(other), strict=True):
            assert torch.equal(mine, read)
    assert [path.name for path in tmp_path.iterdir()] == ["part_00000.safetensors"]
