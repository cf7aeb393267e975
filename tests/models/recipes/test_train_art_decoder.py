"""The transparent decoder's loss, and a training of a few steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from art_model.transparent_decoder import DecoderConfig
from layered.image import LayeredImage
from models.recipes import train_art_decoder as recipe
from models.recipes.decoder_cache import Example, pictures_of, regions_in
from models.recipes.decoder_designs import draw_decoder_design
from models.recipes.train_art_decoder import composite, decoder_loss, exact_pictures

SEEDS = range(6)


def image_of(seed: int) -> LayeredImage:
    return draw_decoder_design(np.random.default_rng([77, seed]))


def example_of(seed: int) -> Example:
    """A design whose latents are averages of its pixels, and whose drawn pictures are what was encoded."""
    image = image_of(seed)
    regions = regions_in(image)
    pictures = tuple(torch.from_numpy(p.copy()).permute(2, 0, 1).contiguous() for p in pictures_of(image))
    latents, drawn = [], []
    for picture in exact_pictures(Example(regions, (), (), pictures)):
        mixed = (0.5 * picture[3:] + 0.5) * picture[:3] * (picture[3:] > 0)
        small = torch.nn.functional.avg_pool2d(torch.cat([mixed, mixed.square()]), 4)
        latents.append(torch.nn.functional.pixel_unshuffle(small, 2)[:16].half())
        drawn.append(((mixed + 1) * 127.5).round().to(torch.uint8))
    return Example(regions, tuple(latents), tuple(drawn), pictures)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_composite_is_the_whole_image(seed: int) -> None:
    example = example_of(seed)
    whole = (composite(exact_pictures(example), example.regions) + 1) / 2 * 255
    true = torch.from_numpy(image_of(seed).whole()).permute(2, 0, 1)
    assert (whole - true).abs().max() < 0.502


def moved(pictures: list[Tensor], change: float) -> list[Tensor]:
    return [picture + change for picture in pictures]


def test_the_loss_is_zero_at_the_truth_and_beyond_the_ends_of_its_range_but_nowhere_else() -> None:
    example = example_of(0)
    true = exact_pictures(example)
    assert decoder_loss([true], [true], [example.regions]) == 0
    beyond = [picture.clone() for picture in true]
    for picture, exact in zip(beyond, true, strict=True):
        picture[3][exact[3] == 0] = -0.3
        picture[3][exact[3] == 1] = 1.2
    assert decoder_loss([beyond], [true], [example.regions]) < 1e-6
    for change in (0.1, -0.1):
        assert decoder_loss([moved(true, change)], [true], [example.regions]) > 0.05


def test_colour_counts_by_alpha() -> None:
    example = example_of(1)
    true = exact_pictures(example)
    found = [picture.clone() for picture in true]
    for picture in found:
        picture[:3][:, picture[3] == 0] = 0.7
    assert decoder_loss([found], [true], [example.regions]) < 1e-6


def test_a_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [example_of(seed) for seed in range(4)]
    monkeypatch.setattr(recipe, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(recipe, "BATCH", 2)
    monkeypatch.setattr(recipe, "HELD_OUT", 1)
    monkeypatch.setattr(recipe, "parts", lambda: [Path("only")])
    monkeypatch.setattr(recipe, "read_examples", lambda path: examples)
    monkeypatch.setattr(
        recipe,
        "DecoderConfig",
        lambda scope: DecoderConfig(width=24, heads=1, blocks=2, mlp=32, rope_axes=(4, 10, 10), scope=scope),
    )
    assert not recipe.is_trained("design")
    recipe.train(3, "design")
    first = recipe.load_trained("design")
    recipe.train(3, "design")
    for one, other in zip(first.parameters(), recipe.load_trained("design").parameters(), strict=True):
        assert torch.equal(one, other)
    recipe.train(5, "design")
    assert not torch.equal(first.head.weight, recipe.load_trained("design").head.weight)
    assert not recipe.is_trained("region")
