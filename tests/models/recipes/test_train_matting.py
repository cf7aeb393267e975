"""The matting recipe: its loss, and that it goes on where it was stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from layered.arrays import UInt8Array
from models.recipes import matting_data, train_matting
from models.recipes.matting_data import Batch, make_batch
from models.recipes.matting_objects import solid
from models.recipes.train_matting import matting_loss
from stages.matting.layerprism import load_network


def perfect(batch: Batch) -> torch.Tensor:
    alpha = batch.layers[:, 3:]
    return torch.cat([batch.layers[:, :3] / alpha.clamp_min(1e-6), alpha], dim=1)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> UInt8Array:
    monkeypatch.setattr(matting_data, "_sprite_numbers", lambda: (0, 1))
    layers = np.stack([solid(matting_data.SIDE, np.random.default_rng(seed)) for seed in range(4)])
    return np.rint(np.clip(layers, 0, 1) * 255).astype(np.uint8)


def test_the_truth_has_almost_no_loss_and_anything_else_more(pool: UInt8Array) -> None:
    batch = make_batch(pool, 2, 64, np.random.default_rng(1))
    truth = perfect(batch)
    least = matting_loss(truth, batch)
    assert least < 0.02  # the background is told with an error
    worse = [truth.clone() for _ in range(3)]
    worse[0][:, 3] *= 0.9
    worse[1][:, :3] = 1 - worse[1][:, :3]
    worse[2][:, 3] = worse[2][:, 3].roll(2, -1)
    for each in worse:
        assert matting_loss(each, batch) > least + 0.005


def test_training_goes_on_where_it_was_stopped_and_its_export_loads(
    pool: UInt8Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_matting, "layer_pool", lambda: pool)
    monkeypatch.setattr(train_matting, "POOL", len(pool))
    monkeypatch.setattr(train_matting, "HELD_OUT", 1)
    monkeypatch.setattr(train_matting, "PATH", tmp_path / "matting.safetensors")
    monkeypatch.setattr(train_matting, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(train_matting, "_SIZES", ((64, 1), (64, 1), (64, 1)))
    train_matting.train(0.5 / 60, "cpu")
    first = load_file(tmp_path / "matting.safetensors")
    train_matting.train(1.0 / 60, "cpu")
    second = load_file(tmp_path / "matting.safetensors")
    assert 0 < first["step"] < second["step"]
    assert second["spent"] >= 1.0
    assert not torch.equal(first["raw.stem.weight"], second["raw.stem.weight"])
    train_matting.export()
    facts = json.loads((tmp_path / "shipped" / "config.json").read_text())
    assert facts["licence"] == "Apache-2.0"
    shipped = load_network(tmp_path / "shipped")
    torch.testing.assert_close(shipped.stem.weight, second["average.stem.weight"], atol=1e-3, rtol=1e-2)
