"""A training that can be stopped: weights, averaged weights and optimizers in one safetensors file."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

NAME = "state.safetensors"


def save_state(
    folder: Path,
    model: nn.Module,
    average: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    step: int,
    seconds: float,
) -> None:
    """Replaces the folder's state in one move. `seconds` is the time spent on training so far."""
    state = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    state |= {f"average.{k}": v.contiguous() for k, v in average.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, slots in optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{index}.{k}": v for k, v in slots.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    unshared = {k: v.clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    save_file(unshared, path.with_suffix(".tmp"), metadata={"step": str(step), "seconds": str(seconds)})
    path.with_suffix(".tmp").replace(path)


def load_state(
    folder: Path, model: nn.Module, average: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> tuple[int, float]:
    """Fills model, average and optimizers from the folder's state; the number of steps and seconds spent so far."""
    path = folder / NAME
    state = load_file(path)
    for prefix, target in (("model.", model), ("average.", average)):
        target.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    for number, optimizer in enumerate(optimizers):
        whole = optimizer.state_dict()
        for key, value in state.items():
            parts = key.split(".")
            if parts[0] == "optimizer" and int(parts[1]) == number:
                whole["state"].setdefault(int(parts[2]), {})[parts[3]] = value
        optimizer.load_state_dict(whole)
    with safe_open(path, "pt") as stored:
        facts = stored.metadata()
    return int(facts["step"]), float(facts["seconds"])


def load_average_state(folder: Path, model: nn.Module) -> None:
    """Fills `model` with the averaged weights alone."""
    state = load_file(folder / NAME)
    model.load_state_dict({k.removeprefix("average."): v for k, v in state.items() if k.startswith("average.")})
