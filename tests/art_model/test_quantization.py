"""Frozen matrices in 8 bits: adapters are trained on them, and the model that comes out has the exact ones."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from art_model.checkpoint import load_transformer, save_transformer
from art_model.lora import WEIGHTS_FILE
from art_model.quantization import quantize_matrices
from art_model.schedule import Shift
from art_model.train_config import TrainConfig
from art_model.trainer import train
from art_model.training_batches import held_out_batch
from layered import UserError
from tests.art_model.random_training import random_designs, random_transformer, small_config, small_job

LORA: dict[str, Any] = {
    "method": "lora",
    "lora": {"rank": 4, "alpha": 4, "quantize_base": True},
    "steps": 4,
    "validation": {"every": None},
}


@pytest.fixture
def torchao() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")


@pytest.mark.usefixtures("torchao")
def test_chosen_matrices_are_rounded_once_and_take_any_input() -> None:
    model = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 8)).bfloat16().requires_grad_(False)
    inputs = torch.randn(5, 64)
    exact = model(inputs.bfloat16())
    for _ in range(2):
        quantize_matrices(model, lambda name: name == "0")
    assert type(model[0].weight) is not nn.Parameter
    assert type(model[1].weight) is nn.Parameter
    rounded = model(inputs)
    assert rounded.dtype == torch.bfloat16
    assert 0 < (rounded - exact).float().norm() / exact.float().norm() < 0.02


@pytest.mark.usefixtures("torchao")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_resumes_and_its_model_is_the_exact_base_plus_adapters(tmp_path: Path, precision: str) -> None:
    lora = LORA | {"precision": precision}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trained = train(small_job(small_config(whole, **lora), layer_embedding_rows=8))
    block = trained.weights.transformer.transformer_blocks[0].attn.to_q
    assert "Int8" in type(block.base_layer.weight).__name__
    train(small_job(small_config(parts, **lora), layer_embedding_rows=8))
    last = parts / "checkpoints/step-00000004"
    shutil.rmtree(last)  # as if it had been killed after step 2
    train(small_job(small_config(parts, **lora), layer_embedding_rows=8))
    expected, found = (
        load_file(folder / "checkpoints/step-00000004/adapter" / WEIGHTS_FILE) for folder in (whole, parts)
    )
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())

    save_transformer(tmp_path / "base", random_transformer(layer_embedding_rows=8))
    batch = held_out_batch(random_designs(3).designs, 0.5, Shift(), None).packed
    with torch.inference_mode(), trained.weights.averaged():
        adapted = trained.weights.transformer(batch)
    trained.weights.export(tmp_path / "model", tmp_path / "base")
    merged = load_transformer(tmp_path / "model/transformer")
    base, own = (dict(model.named_parameters()) for model in (random_transformer(layer_embedding_rows=8), merged))
    frozen = [name for name in base if ".ff" in name]
    assert frozen
    assert all(torch.equal(own[name], base[name]) for name in frozen)
    assert not torch.equal(own["transformer_blocks.0.attn.to_q.weight"], base["transformer_blocks.0.attn.to_q.weight"])
    with torch.inference_mode():
        difference = (merged(batch) - adapted).norm() / adapted.norm()
    assert difference < 0.05


@pytest.mark.parametrize(
    "more", [{"method": "full"}, {"workers": {"count": 2}}], ids=["all weights", "several processes"]
)
def test_where_it_does_not_go_it_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"lora\.quantize_base is for method lora in one process"):
        TrainConfig.model_validate(small_config(tmp_path, **LORA).model_dump() | more)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(UserError, match=r"8-bit weights need torchao: pip install 'layerprism\[quantize\]'"):
        quantize_matrices(nn.Linear(2, 2))
