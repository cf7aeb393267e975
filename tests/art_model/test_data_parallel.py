"""Processes that train side by side compute the step that one process would with all of their batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from art_model.batching import BatchOrder
from art_model.objective import class_losses, summed_loss
from art_model.training_batches import training_batch
from art_model.training_state import OPTIMIZER_FILE
from tests.art_model.random_training import small_config, small_job
from tests.conftest import REPOSITORY

SETTINGS = {"steps": 1, "accumulation": 1, "schedule": {}, "validation": {"every": None}, "log": {"every": 1}}


@pytest.mark.slow
def test_two_processes_make_the_step_of_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.art_model.random_training", str(out), json.dumps(SETTINGS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    processes = [subprocess.Popen(command, cwd=REPOSITORY, env=environment | {"RANK": str(rank)}) for rank in range(2)]
    assert [process.wait(280) for process in processes] == [0, 0]

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
