"""What the transparent decoder learns from."""

import numpy as np
import pytest

from layered.image import LayeredImage
from models.recipes.decoder_designs import EVALUATION, LAYERS, TRAINING, draw_decoder_design


def drawn(stream: int, seed: int) -> LayeredImage:
    return draw_decoder_design(np.random.default_rng([stream, seed]))


@pytest.fixture(scope="module")
def designs() -> list[LayeredImage]:
    return [drawn(TRAINING, seed) for seed in range(60)]


def test_a_seed_always_draws_the_same_and_the_streams_differ() -> None:
    one, again, other = drawn(TRAINING, 3), drawn(TRAINING, 3), drawn(EVALUATION, 3)
    assert (one.whole() == again.whole()).all()
    assert one.base.shape != other.base.shape or (one.base != other.base).any()


def test_layers_are_tight_visible_and_straight(designs: list[LayeredImage]) -> None:
    for design in designs:
        assert LAYERS[0] <= len(design.layers) <= LAYERS[1]
        for layer in design.layers:
            alpha = layer.pixels[..., 3]
            assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
            assert not layer.pixels[alpha == 0].any()


def test_there_is_what_alpha_is_hard_to_tell_for(designs: list[LayeredImage]) -> None:
    layers = [layer.pixels for design in designs for layer in design.layers]
    solid = [pixels[pixels[..., 3] > 250][:, :3] for pixels in layers]
    means = [colors.mean(0) for colors in solid if len(colors) > 40]
    assert any(np.abs(mean - 128).max() < 6 for mean in means)
    assert any(mean.max() < 8 for mean in means)
    assert any(mean.min() > 248 for mean in means)
    partly = [((pixels[..., 3] > 25) & (pixels[..., 3] < 230)).mean() for pixels in layers]
    assert sum(part > 0.3 for part in partly) > len(layers) / 10
    assert any(layer.box.overflows(design.canvas) for design in designs for layer in design.layers)
