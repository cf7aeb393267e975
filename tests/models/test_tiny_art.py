"""The tiny ART as it is shipped: ordinary files, the same drawing from the same seed, things that were asked for."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from art_model.checkpoint import Art, load_art, load_transformer
from art_model.request import Held, Layout
from art_model.sampling import sample, settings_for
from evaluation.judge import load_judge
from layered.box import Box
from layered.torchvision_cure import ensure_torchvision
from models import TINY

FOLDER = TINY / "art"
LAYOUT = Layout((128, 128), (Box(8, 12, 66, 70), Box(72, 60, 124, 112)))
PROMPT = "an apple and a yellow sun on plain white paper"


@pytest.fixture(scope="module")
def art(require: Callable[[str], None]) -> Art:
    if not (FOLDER / "decoder" / "config.json").is_file():
        require("the tiny ART's transparent decoder")
    return load_art(FOLDER)


def test_it_draws_the_same_from_the_same_seed_and_something_else_from_another(art: Art) -> None:
    few = settings_for(art.settings, steps=2)
    one, same, other = (sample(art, PROMPT, LAYOUT, settings=few, seed=seed) for seed in (1, 1, 2))
    assert one.merged is not None
    assert same.merged is not None
    assert (one.merged == same.merged).all()
    assert all((a.pixels == b.pixels).all() for a, b in zip(one.layers, same.layers, strict=True))
    assert (one.base != other.base).any()
    assert [layer.box for layer in one.layers] == list(LAYOUT.boxes)


def test_it_draws_what_it_is_asked_for(art: Art) -> None:
    judge = load_judge()
    drawn = [sample(art, PROMPT, LAYOUT, seed=seed) for seed in range(3)]
    found = [set(judge.best_labels([layer.pixels for layer in image.layers])) for image in drawn]
    # By chance one thing in 144 is found.
    assert sum(len(labels & {"apple", "sun"}) for labels in found) >= 4
    for image in drawn:
        assert image.base.mean() > 200  # white paper
        assert all((layer.pixels[..., 3] > 127).mean() > 0.05 for layer in image.layers)


def test_a_held_picture_decides_what_the_layers_show(art: Art) -> None:
    rng = np.random.default_rng(0)
    colors = [np.array(color, np.uint8) for color in ((220, 40, 40), (40, 95, 220))]
    bases = []
    for color in colors:
        picture = np.full((128, 128, 3), 248, np.uint8)
        picture[20:62, 16:58] = color
        bases.append(sample(art, "", LAYOUT, seed=int(rng.integers(9)), held=Held(merged=picture)))
    for image, color, other in zip(bases, colors, reversed(colors), strict=True):
        pixels = image.layers[0].pixels.astype(float)
        mean = np.average(pixels[..., :3].reshape(-1, 3), axis=0, weights=pixels[..., 3].ravel() + 1e-6)
        assert np.abs(mean - color).sum() < np.abs(mean - other).sum()


def test_its_transformer_is_one_of_diffusers() -> None:
    ensure_torchvision()
    from diffusers import FluxTransformer2DModel

    theirs = FluxTransformer2DModel.from_pretrained(FOLDER / "transformer", local_files_only=True)
    stored = load_file(FOLDER / "transformer" / "diffusion_pytorch_model.safetensors")
    ours = load_transformer(FOLDER / "transformer").state_dict()
    assert set(stored) == set(ours) == set(theirs.state_dict())
    assert all(weight.dtype == torch.bfloat16 for weight in stored.values())


def test_what_it_shares_with_the_tiny_flux_is_not_stored_twice() -> None:
    settings = json.loads((FOLDER / "art.json").read_text("utf-8"))
    assert settings["parts"] == {"vae": "../vae", "text_encoder": "../text_encoder", "tokenizer": "../tokenizer"}
    assert not any((FOLDER / part).exists() for part in settings["parts"])
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 13.5e6
