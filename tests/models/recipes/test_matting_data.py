"""Layers with exact alpha, and the pictures that the matting network learns from."""

import numpy as np
import pytest
import torch

from layered.arrays import UInt8Array
from models.recipes import matting_data, matting_objects, matting_wisps
from models.recipes.matting_data import Batch, Render, layer_kind, make_batch, render_layer

RENDERS: list[Render] = [
    matting_objects.solid, matting_objects.lettering, matting_objects.thin_structure, matting_wisps.hairy,
    matting_wisps.smoke, matting_wisps.fire, matting_wisps.light, matting_wisps.glass, matting_wisps.veil,
    matting_wisps.burning,
]  # fmt: skip


@pytest.mark.parametrize("render", RENDERS, ids=lambda each: str(each.__name__))
def test_every_kind_is_premultiplied_and_shows_something(render: Render) -> None:
    layers = [render(96, np.random.default_rng(seed)) for seed in range(4)]
    for layer in layers:
        assert layer.shape == (96, 96, 4)
        assert layer.dtype == np.float32
        assert layer.min() >= -1e-5
        assert layer.max() <= 1 + 1e-5
        assert (layer[..., :3] <= layer[..., 3:] + 1e-5).all()
    assert max(layer[..., 3].max() for layer in layers) > 0.3


@pytest.mark.parametrize("render", [matting_wisps.smoke, matting_wisps.glass, matting_wisps.fire])
def test_what_is_not_solid_has_many_alphas(render: Render) -> None:
    layer = np.concatenate([render(96, np.random.default_rng(seed)) for seed in range(4)])
    assert ((layer[..., 3] > 0.05) & (layer[..., 3] < 0.95)).mean() > 0.05


def test_effects_keep_layers_sound_and_change_them() -> None:
    solid = matting_objects.solid(96, np.random.default_rng(3))
    for effect in (matting_wisps.with_shadow, matting_wisps.reflected, matting_wisps.moved, matting_wisps.glowing):
        changed = effect(solid, np.random.default_rng(0))
        assert changed.shape == solid.shape
        assert (changed[..., :3] <= changed[..., 3:] + 1e-4).all(), effect
    shadowed = matting_wisps.with_shadow(solid, np.random.default_rng(0))
    assert shadowed[..., 3].sum() > solid[..., 3].sum()


def test_a_layer_follows_from_its_number_alone(emoji_font: None) -> None:
    assert np.array_equal(render_layer(3), render_layer(3))
    assert not np.array_equal(render_layer(3), render_layer(4))
    assert len({layer_kind(number) for number in range(120)}) >= 8


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> UInt8Array:
    """Few layers, without the emoji."""
    monkeypatch.setattr(matting_data, "_sprite_numbers", lambda: (0, 1))
    layers = [render(matting_data.SIDE, np.random.default_rng(7)) for render in RENDERS[:4]]
    return np.rint(np.clip(np.stack(layers), 0, 1) * 255).astype(np.uint8)


def batches(pool: UInt8Array, count: int) -> list[Batch]:
    return [make_batch(pool, 2, 64, np.random.default_rng(seed)) for seed in range(count)]


def test_a_batch_is_what_its_layers_show_over_its_backgrounds(pool: UInt8Array) -> None:
    for batch in batches(pool, 12):
        rgb, alpha = batch.layers[:, :3], batch.layers[:, 3:]
        assert batch.pictures.shape == (2, 3, 64, 64)
        assert (rgb <= alpha + 1e-5).all()
        assert ((alpha >= 0) & (alpha <= 1)).all()
        composited = rgb + (1 - alpha) * batch.backgrounds[:, :, None, None]
        # What is told of the background is off by a level, and its light is slightly uneven.
        assert (composited - batch.clean).abs().mean() < 6 / 255
        assert (batch.pictures - batch.clean).abs().mean() < 20 / 255
        torch.testing.assert_close(batch.pictures * 255, (batch.pictures * 255).round(), atol=1e-3, rtol=0)


def test_a_batch_follows_from_its_generator(pool: UInt8Array) -> None:
    one, same, other = (make_batch(pool, 2, 64, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(one.pictures, same.pictures)
    assert not torch.equal(one.pictures, other.pictures)


def test_backgrounds_are_mostly_gray_and_sometimes_any_colour(pool: UInt8Array) -> None:
    backgrounds = torch.cat([batch.backgrounds for batch in batches(pool, 60)])
    gray = ((backgrounds - 128 / 255).abs().amax(1) < 4 / 255).float().mean()
    assert 0.35 < gray < 0.65
    assert backgrounds.std(0).min() > 0.1
