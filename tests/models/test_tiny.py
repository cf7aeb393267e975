"""The embedded FLUX as it is shipped: an ordinary diffusers folder that draws on a flat gray, the same from
the same seed."""

import json

import numpy as np
import pytest
import torch

from layered.arrays import UInt8Array
from models import JUDGE, TINY
from models.vocabulary import load_vocabulary
from stages.generator import Generator, load_generator
from stages.layer_flux import LayerFluxConfig, resolve_defaults


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator(resolve_defaults(LayerFluxConfig()))


def _apple(generator: Generator, seeds: list[int]) -> list[UInt8Array]:
    vocabulary = load_vocabulary()
    prompt = vocabulary.templates.prompt.format(caption="a red apple", style="cartoon", suffix=vocabulary.suffixes[0])
    size = generator.settings.layer_sizes[0]
    return generator.draw([(prompt, seed) for seed in seeds], size)


def test_it_draws_the_same_from_the_same_seed_and_something_else_from_another(generator: Generator) -> None:
    first, second = _apple(generator, [1, 2])
    again, _ = _apple(generator, [1, 2])
    assert (first == again).all()
    assert (first != second).any()


def test_an_apple_is_red_and_stands_on_flat_gray(generator: Generator) -> None:
    apple = _apple(generator, [3])[0].astype(int)
    rim = np.concatenate([apple[:3].reshape(-1, 3), apple[-3:].reshape(-1, 3)])
    assert np.abs(rim - 128).mean() < 4
    middle = apple[apple.shape[0] // 3 : -apple.shape[0] // 3, apple.shape[1] // 3 : -apple.shape[1] // 3]
    red, green, blue = middle.reshape(-1, 3).mean(0)
    assert red > 1.5 * green
    assert red > 1.5 * blue


def test_a_base_image_fills_its_frame_at_every_size(generator: Generator) -> None:
    for size in generator.settings.base_sizes:
        beach = generator.draw([("a sandy beach by the sea, cartoon style", 4)], size)[0]
        assert beach.shape == (size[1], size[0], 3)
        sky, sand = beach[: size[1] // 8].mean((0, 1)), beach[-size[1] // 8 :].mean((0, 1))
        assert sky[2] > sky[0] + 30
        assert sand[0] > sand[2] + 30


def test_what_it_needs_stands_in_its_own_file() -> None:
    facts = json.loads((TINY / "layerprism.json").read_text())
    vocabulary = load_vocabulary()
    assert facts["suffix"] == vocabulary.suffixes[0]
    assert facts["prompt_template"] == vocabulary.templates.prompt
    assert facts["base_prompt_template"] == vocabulary.templates.base_prompt
    assert facts["true_cfg_scale"] > 1
    assert facts["negative_prompt"] == ""
    assert all(side % 16 == 0 for size in facts["layer_sizes"] + facts["base_sizes"] for side in size)


def test_the_autoencoder_keeps_flat_gray_flat() -> None:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(TINY / "vae", dtype=torch.float32)
    with torch.inference_mode():
        decoded = vae.decode(torch.zeros(1, 16, 12, 12)).sample
    assert (decoded - (128 / 127.5 - 1)).abs().mean() * 127.5 < 2


def test_the_models_stay_small() -> None:
    files = [path for folder in (TINY, JUDGE) for path in folder.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 15e6
    assert sum(path.stat().st_size for path in files) < 40e6
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}]
