"""The trainer: it learns, it can be killed at any moment, it stops with a word, and what it wrote is whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from art_model.checkpoint import WEIGHTS_FILE, load_transformer
from art_model.trainer import Trained, train
from art_model.training_log import LOGS
from layered.errors import FailedWorkError, UserError
from tests.art_model.random_training import random_transformer, small_config, small_job
from tests.conftest import REPOSITORY

LAST = Path("checkpoints/step-00000008")


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.relative_to(folder)}:{name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    out = tmp_path_factory.mktemp("undisturbed")
    return out, train(small_job(small_config(out)))


def test_it_learns_what_it_sees(tmp_path: Path) -> None:
    lines: list[str] = []
    more = {"steps": 40, "accumulation": 1, "schedule": {}, "validation": {"every": None}, "log": {"every": 10}}
    train(small_job(small_config(tmp_path, **more)), say=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines if line.startswith("step")]
    assert len(losses) == 4
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("moment", range(2))
def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_bits(
    moment: int, tmp_path: Path, undisturbed: tuple[Path, Trained]
) -> None:
    command = [sys.executable, "-m", "tests.art_model.random_training", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("checkpoints/*step-*")) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(small_job(small_config(tmp_path)))
    expected, found = weights_in(undisturbed[0] / LAST), weights_in(tmp_path / LAST)
    assert expected.keys() == found.keys()
    assert len(expected) > 100
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_the_last_checkpoints_and_the_best_are_kept(undisturbed: tuple[Path, Trained]) -> None:
    out, trained = undisturbed
    kept = {int(path.name[5:]) for path in (out / "checkpoints").iterdir()}
    assert trained.progress.best in (4, 8)
    assert kept == {6, 8, trained.progress.best}
    assert [step for step, _ in trained.progress.curve] == [0, 4, 8]
    state = json.loads((out / LAST / "state.json").read_text())
    assert state["step"] == 8
    assert state["facts"]["settings"]["seed"] == 0


def test_a_finished_training_has_nothing_left_to_do(undisturbed: tuple[Path, Trained]) -> None:
    before = weights_in(undisturbed[0])
    again = train(small_job(small_config(undisturbed[0])))
    assert again.progress == undisturbed[1].progress
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_in(undisturbed[0]).items())


def test_a_checkpoint_of_another_training_is_refused(undisturbed: tuple[Path, Trained]) -> None:
    other = small_config(undisturbed[0], seed=1)
    with pytest.raises(UserError, match=r"another training \(settings\.seed was 0, is 1\)"):
        train(small_job(other))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    config = small_config(tmp_path, steps=2, validation={"every": None}, schedule={})
    train(small_job(config))
    cut = tmp_path / "checkpoints/step-00000002/transformer" / WEIGHTS_FILE
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"step-00000002 cannot be loaded .* remove it"):
        train(small_job(config))


def test_a_loss_that_is_no_number_stops_with_the_last_checkpoint_intact(tmp_path: Path) -> None:
    config = small_config(tmp_path, accumulation=1)
    job = small_job(config)
    broken = job.train[job.train.lengths.index(max(job.train.lengths))]
    broken.tokens.fill_(float("nan"))
    with pytest.raises(FailedWorkError, match=r"step \d+: the loss or its gradient is no finite number"):
        train(job)
    for path in tmp_path.glob("checkpoints/step-*"):
        assert all(tensor.isfinite().all() for tensor in weights_in(path).values())


def test_the_curves_are_in_tensorboard(undisturbed: tuple[Path, Trained]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(undisturbed[0] / LOGS))
    events.Reload()
    names = events.Tags()["scalars"]
    for wanted in ("loss/foreground", "speed/tokens_per_s", "speed/data_wait", "speed/memory_gb", "held_out/loss"):
        assert wanted in names
    assert {"noise/cosine", "noise/mean_00", "noise/std_01"} <= set(names)
    assert [event.step for event in events.Scalars("loss/all")] == [2, 4, 6, 8]


def test_what_comes_out_is_the_averaged_transformer(tmp_path: Path, undisturbed: tuple[Path, Trained]) -> None:
    undisturbed[1].weights.export(tmp_path)
    loaded = load_transformer(tmp_path / "transformer").state_dict()
    average = load_file(undisturbed[0] / LAST / "average.safetensors")
    assert loaded.keys() == average.keys()
    assert all(torch.equal(loaded[name], average[name]) for name in average)
    start = random_transformer().state_dict()
    assert sum(not torch.equal(start[name], average[name]) for name in average) > 20
