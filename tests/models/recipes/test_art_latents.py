"""The cache of ART's latents gives back what was encoded."""

from pathlib import Path

import numpy as np
import torch

from art_model.autoencoder import encode_regions
from art_model.packing import tokens_to_latents
from art_model.regions import regions_of
from models.recipes.art_designs import TRAINING, draw_art_design
from models.recipes.art_latents import encode, load_vae, read_part, write_part


def test_a_part_holds_the_designs_of_its_stream_and_their_latents(tmp_path: Path, emoji_font: None) -> None:
    vae = load_vae()
    path = tmp_path / "part.safetensors"
    write_part(vae, path, TRAINING, 5, 3)
    assert [each.name for each in tmp_path.iterdir()] == ["part.safetensors"]
    stored = read_part(path)
    drawn = [draw_art_design(np.random.default_rng([TRAINING, index])) for index in range(5, 8)]
    assert [each.contents for each in stored] == [each.contents for each in drawn]
    for cached, design in zip(stored, drawn, strict=True):
        assert cached.canvas == design.image.canvas
        assert cached.boxes == tuple(layer.box for layer in design.image.layers)
        regions = regions_of(cached.canvas, cached.boxes)
        assert cached.tokens.shape == (regions.tokens, 64)
        pixels = [design.image.whole(), design.image.base]
        opaque = [np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]) for rgb in pixels]
        alone = encode_regions(vae, [*opaque, *(layer.pixels for layer in design.image.layers)], regions)
        for tokens, region, latent in zip(
            torch.split(cached.tokens, list(regions.lengths)), regions.items, alone, strict=True
        ):
            torch.testing.assert_close(
                tokens_to_latents(tokens.float(), region.rows, region.columns), latent, atol=0.01, rtol=0.01
            )


def test_designs_are_encoded_the_same_alone_and_together(emoji_font: None) -> None:
    vae = load_vae()
    designs = [draw_art_design(np.random.default_rng([TRAINING, index])) for index in range(3)]
    for alone, together in zip(designs, encode(vae, designs), strict=True):
        torch.testing.assert_close(encode(vae, [alone])[0], together, atol=1e-4, rtol=1e-4)
