"""How the transparent autoencoder is measured."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from benchmarks.autoencoder import JOINT, OVER_GRAY, STRAIGHT, interval, measure, scores, summary, through_vae
from layered.image import Layer, LayeredImage
from models.recipes.decoder_designs import draw_decoder_design


class ExactVae:
    """An autoencoder that loses nothing."""

    def encode(self, images: Tensor) -> Any:
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=F.pixel_unshuffle(images, 8)))

    def decode(self, latents: Tensor) -> Any:
        return SimpleNamespace(sample=F.pixel_shuffle(latents, 8))


@pytest.fixture(scope="module")
def design() -> LayeredImage:
    return draw_decoder_design(np.random.default_rng([79, 1]))


def shifted(image: LayeredImage, by: int, channels: slice) -> LayeredImage:
    layers = []
    for layer in image.layers:
        pixels = layer.pixels.astype(int)
        pixels[..., channels] += np.where(pixels[..., channels] < 128, by, -by)
        layers.append(Layer(pixels.astype(np.uint8), layer.box))
    return replace(image, layers=tuple(layers))


def test_equal_designs_score_the_most_and_each_measure_sees_its_own_error(design: LayeredImage) -> None:
    assert scores(design, design) == (60.0, 60.0, 60.0)
    step = 20 * np.log10(255 / 8)
    color, alpha, _ = scores(design, shifted(design, 8, slice(0, 3)))
    assert color == pytest.approx(step)
    assert alpha == 60
    color, alpha, whole = scores(design, shifted(design, 8, slice(3, 4)))
    assert alpha == pytest.approx(step)
    assert color == 60
    assert whole < 60


def test_an_autoencoder_that_loses_nothing_loses_nothing(design: LayeredImage) -> None:
    exact = ExactVae()
    assert scores(design, through_vae(exact, over_gray=False)(design)) == (60.0, 60.0, 60.0)
    color, alpha, whole = scores(design, through_vae(exact, over_gray=True)(design))
    assert alpha == 60
    assert min(color, whole) > 40  # what was mixed with gray in 8 bits cannot be unmixed exactly


def test_an_interval_holds_the_mean_and_narrows_with_more_designs() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)
    many, few = interval(values), interval(values[:25])
    assert many.low < many.mean < many.high
    assert many.mean == pytest.approx(values.mean())
    assert many.high - many.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_joint_decoder_is_compared_pair_by_pair(design: LayeredImage) -> None:
    def worse(image: LayeredImage) -> LayeredImage:
        return shifted(image, 8, slice(0, 3))

    found = measure([design, design], {JOINT: lambda image: image, OVER_GRAY: worse, STRAIGHT: worse})
    result = summary(found)
    assert set(result["joint_is_better_by"]) == {OVER_GRAY, STRAIGHT}
    gain = result["joint_is_better_by"][OVER_GRAY]["rgb"]
    assert gain["low"] == pytest.approx(gain["mean"]) == pytest.approx(60 - 20 * np.log10(255 / 8))


def test_hidden_colour_is_not_shown_to_the_rgb_autoencoder(design: LayeredImage) -> None:
    seen: list[Tensor] = []

    class Watching(ExactVae):
        def encode(self, images: Tensor) -> Any:
            seen.append(images)
            return super().encode(images)

    through_vae(Watching(), over_gray=False)(design)
    colors = seen[1::2][: len(design.layers)]
    for image, layer in zip(colors, design.layers, strict=True):
        height, width = layer.pixels.shape[:2]
        inner = image[0, :, 16 : 16 + height, 16 : 16 + width]
        assert (inner[:, torch.from_numpy(layer.pixels[..., 3] == 0)].abs() < 0.01).all()


def test_two_pictures_of_half_the_pixels_have_as_many_latents_as_one(design: LayeredImage) -> None:
    seen: list[Tensor] = []

    class Watching(ExactVae):
        def encode(self, images: Tensor) -> Any:
            seen.append(images[..., 16:-16, 16:-16])
            return super().encode(images)

    found = through_vae(Watching(), over_gray=False, scale=0.5**0.5)(design)
    assert [layer.pixels.shape for layer in found.layers] == [layer.pixels.shape for layer in design.layers]
    for layer, alpha, color in zip(design.layers, seen[0::2], seen[1::2], strict=False):
        height, width = layer.pixels.shape[:2]
        for image in (alpha, color):
            assert [-(-round(side * 0.5**0.5) // 8) * 8 for side in (height, width)] == list(image.shape[2:])
