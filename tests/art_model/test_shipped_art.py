"""The tiny ART as it is shipped: what it draws hangs together, and what is held leads it."""

import numpy as np
import pytest

from art_model.checkpoint import Art, load_art
from art_model.request import Held, Layout, SampleRequest
from art_model.sampling import sample, sample_batch, settings_for
from layered import Box, LayeredImage
from models import TINY

PROMPT = "a red apple and a blue car on a green wall and a wooden floor"
LAYOUT = Layout((128, 128), (Box(8, 60, 62, 114), Box(70, 20, 118, 68)))


@pytest.fixture(scope="module")
def tiny() -> Art:
    return load_art(TINY, device="cpu")


@pytest.fixture(scope="module")
def designs(tiny: Art) -> list[LayeredImage]:
    return sample_batch(tiny, [SampleRequest(PROMPT, LAYOUT, seed=seed) for seed in range(4)])


def test_layers_add_up_to_the_merged_image(designs: list[LayeredImage]) -> None:
    """A merged image goes with its own layers, and not with those of another seed."""
    own = np.mean([psnr(design.whole(), merged_of(design)) for design in designs])
    others = np.mean([psnr(design.whole(), merged_of(designs[index - 1])) for index, design in enumerate(designs)])
    assert own > 18
    assert own > others + 3


def test_layers_are_drawn_and_transparent_around(designs: list[LayeredImage]) -> None:
    alphas = [layer.pixels[..., 3] for design in designs for layer in design.layers]
    assert all((alpha > 127).mean() > 0.05 for alpha in alphas)
    assert np.mean([(alpha < 26).mean() for alpha in alphas]) > 0.1


def test_a_held_picture_is_taken_apart(tiny: Art, designs: list[LayeredImage]) -> None:
    """The layers add up to the picture that was held, and not to any other."""
    wholes = [design.whole() for design in designs]
    requests = [SampleRequest(PROMPT, LAYOUT, held=Held(merged=whole), seed=9) for whole in wholes]
    found = [image.whole() for image in sample_batch(tiny, requests)]
    own = np.mean([psnr(one, whole) for one, whole in zip(found, wholes, strict=True)])
    others = np.mean([psnr(one, wholes[index - 1]) for index, one in enumerate(found)])
    assert own > 22
    assert own > others + 5


def test_an_added_layer_finds_its_way_into_the_merged_image(tiny: Art, designs: list[LayeredImage]) -> None:
    """Where the new box stands, the new merged image follows the new layer; elsewhere it stays near the old design."""
    first = designs[0]
    layout = Layout(LAYOUT.canvas, (*LAYOUT.boxes, Box(76, 80, 124, 124)))
    held = Held(background=first.base, layers={index: layer.pixels for index, layer in enumerate(first.layers)})
    added = sample(tiny, PROMPT, layout, held=held, seed=3)
    assert psnr(added.whole(), merged_of(added)) > psnr(first.whole(), merged_of(added))
    assert psnr(added.whole(), merged_of(added)) > 18


def test_most_of_fifty_crowded_layers_are_drawn(tiny: Art) -> None:
    """It learned from two to six layers; its times stay those of one canvas."""
    boxes = tuple(Box(x, y, x + 32, y + 32) for x in range(-10, 110, 24) for y in range(-10, 110, 12))
    quick = settings_for(tiny.settings, steps=4)
    image = sample(tiny, PROMPT, Layout((128, 128), boxes[:50]), settings=quick)
    assert len(image.layers) == 50
    assert sum((layer.pixels[..., 3] > 127).any() for layer in image.layers) > 25


def merged_of(design: LayeredImage) -> np.ndarray:
    assert design.merged is not None
    return design.merged


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In decibels, of 8-bit pictures."""
    return float(-10 * np.log10(np.mean((one.astype(float) - other) ** 2) / 255**2))
