"""Processes that train side by side compute the step that one process would with all of their batches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from art_model.batching import BatchOrder
from art_model.checkpoint import WEIGHTS_FILE
from art_model.objective import class_losses, summed_loss
from art_model.trained_weights import AVERAGE_FILE
from art_model.training_batches import training_batch
from art_model.training_state import OPTIMIZER_FILE
from tests.art_model.random_training import small_config, small_job
from tests.conftest import REPOSITORY

SETTINGS = {"steps": 1, "accumulation": 1, "schedule": {}, "validation": {"every": None}, "log": {"every": 1}}


def train_side_by_side(out: Path, settings: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "tests.art_model.random_training", str(out), json.dumps(settings)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    processes = [subprocess.Popen(command, cwd=REPOSITORY, env=environment | {"RANK": str(rank)}) for rank in range(2)]
    assert [process.wait(280) for process in processes] == [0, 0]
    Path(f"{out}.rendezvous").unlink(missing_ok=True)


@pytest.mark.slow
def test_two_processes_make_the_step_of_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_side_by_side(out, SETTINGS)
    config = small_config(out, **SETTINGS)
    job = small_job(config)
    batches = BatchOrder(job.train.lengths, config.seed, config.tokens, 2).at(0).batches
    samples = sum(map(len, batches))
    for indices in batches:
        batch = training_batch(job.train, indices, 0, config, job.settings.shift, None)
        losses = class_losses(job.transformer(batch.packed), batch.questions)
        torch.autograd.backward(summed_loss(losses, config.weights.tensor()) / samples)
    parameters = {name: each for name, each in job.transformer.named_parameters() if each.grad is not None}
    torch.nn.utils.clip_grad_norm_(parameters.values(), config.optimizer.clip or 1)
    # After one step, AdamW's average is the gradient times 1 - beta.
    averages = load_file(out / "checkpoints/step-00000001" / OPTIMIZER_FILE)
    for name, parameter in parameters.items():
        expected = parameter.grad * (1 - config.optimizer.betas[0])
        torch.testing.assert_close(averages[f"{name}/exp_avg"], expected, atol=1e-6, rtol=1e-4)
    assert len(parameters) > 30


@pytest.mark.slow
def test_a_spread_model_is_trained_as_one_that_each_process_has(tmp_path: Path) -> None:
    whole, spread = tmp_path / "whole", tmp_path / "spread"
    train_side_by_side(whole, {})
    train_side_by_side(spread, {"workers": {"count": 2, "spread": True}})
    last = "checkpoints/step-00000008"
    for file in (f"transformer/{WEIGHTS_FILE}", AVERAGE_FILE, OPTIMIZER_FILE):
        expected, found = load_file(whole / last / file), load_file(spread / last / file)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-3)
    curves = [json.loads((out / last / "state.json").read_text())["curve"] for out in (whole, spread)]
    assert [step for step, _ in curves[0]] == [step for step, _ in curves[1]]
    assert [loss for _, loss in curves[1]] == pytest.approx([loss for _, loss in curves[0]], rel=1e-4)


@pytest.mark.slow
def test_a_spread_training_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    settings = {"workers": {"count": 2, "spread": True}}
    train_side_by_side(tmp_path / "once", settings)
    for leftover in (tmp_path / "once/checkpoints").glob("step-*"):
        if leftover.name > "step-00000006":
            continue
        shutil.copytree(leftover, tmp_path / "twice/checkpoints" / leftover.name)
    train_side_by_side(tmp_path / "twice", settings)
    last = "checkpoints/step-00000008"
    for file in (f"transformer/{WEIGHTS_FILE}", AVERAGE_FILE, OPTIMIZER_FILE):
        expected, found = load_file(tmp_path / "once" / last / file), load_file(tmp_path / "twice" / last / file)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
