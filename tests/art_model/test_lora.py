"""Adapters: on the named projections and nowhere else, in peft's own files, merged without a change."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from art_model.checkpoint import load_transformer
from art_model.lora import WEIGHTS_FILE, target_pattern
from art_model.schedule import Shift
from art_model.train_config import LoraConfig
from art_model.trained_weights import TrainedWeights
from art_model.trainer import train
from art_model.training_batches import held_out_batch
from tests.art_model.random_training import random_designs, random_transformer, small_config, small_job

LORA = {"method": "lora", "lora": {"rank": 4, "alpha": 4}, "steps": 4, "validation": {"every": None}}


@pytest.mark.parametrize(("head", "wanted"), [(False, 8 + 5), (True, 8 + 5 + 2)])
def test_the_pattern_names_the_projections_of_both_streams_and_single_blocks(head: bool, wanted: int) -> None:
    pattern = target_pattern(LoraConfig(head=head))
    matched = [name for name, _ in random_transformer().named_modules() if re.fullmatch(pattern, name)]
    assert len(matched) == wanted
    assert not [name for name in matched if "norm" in name or ".ff" in name]
    assert ("proj_out" in matched) == head


def test_only_adapters_and_the_layer_embedding_are_trained(tmp_path: Path) -> None:
    transformer = random_transformer(layer_embedding_rows=8)
    weights = TrainedWeights(transformer, small_config(tmp_path, **LORA))
    assert len(weights.parameters) == 2 * 13 + 1
    assert all("lora" in name or "layer_embedding" in name for name in weights.parameters)


def test_a_training_resumes_and_its_model_is_base_plus_adapters(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed = train(small_job(small_config(whole, **LORA), layer_embedding_rows=8))
    stopped = small_job(small_config(parts, **LORA), layer_embedding_rows=8)
    train(stopped)
    last = parts / "checkpoints/step-00000004"
    shutil.rmtree(last)  # as if it had been killed after step 2
    train(small_job(small_config(parts, **LORA), layer_embedding_rows=8))
    for name in ("adapter/" + WEIGHTS_FILE, "average.safetensors", "optimizer.safetensors"):
        expected, found = load_file(whole / last.relative_to(parts) / name), load_file(last / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())

    batch = held_out_batch(random_designs(3).designs, 0.5, Shift(), None).packed
    with torch.inference_mode(), undisturbed.weights.averaged():
        adapted = undisturbed.weights.transformer(batch)
    undisturbed.weights.export(tmp_path / "model")
    merged = load_transformer(tmp_path / "model/transformer")
    with torch.inference_mode():
        torch.testing.assert_close(merged(batch), adapted, atol=1e-5, rtol=1e-4)
        assert (random_transformer(layer_embedding_rows=8)(batch) - adapted).abs().max() > 1e-4
    assert not (tmp_path / "model/adapter/README.md").exists()
    names = load_file(tmp_path / "model/adapter" / WEIGHTS_FILE)
    assert "base_model.model.transformer_blocks.0.attn.to_q.lora_A.weight" in names
    assert any("layer_embedding" in name for name in names)
