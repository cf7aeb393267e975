"""Checkpoints of a training: everything that it needs to go on as if it had never stopped.

OUT/checkpoints/step-00000500/
    adapter/ or transformer/      weights in peft's or diffusers' layout, float32
    average.safetensors           their average over time
    optimizer.safetensors         the optimiser's tensors, named by weight
    state.json                    its numbers, the step, the settings and the data; written last

A checkpoint is written beside and moved into place in one step, so that one which is there is whole. All randomness
derives from the seed and the step; there are no generators to store.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from art_model.sharding import spread_like, whole
from art_model.trained_weights import TrainedWeights
from layered.errors import UserError

CHECKPOINTS: Final = "checkpoints"
STATE_FILE: Final = "state.json"
OPTIMIZER_FILE: Final = "optimizer.safetensors"


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        step: updates done.
        seconds: spent on them, over all starts.
        curve: held-out losses by step.
    """

    step: int = 0
    seconds: float = 0.0
    curve: tuple[tuple[int, float], ...] = ()

    @property
    def best(self) -> int | None:
        """After which step the held-out loss was least; None before the first look after an update."""
        looks = [(loss, step) for step, loss in self.curve if step]
        return min(looks)[1] if looks else None


class Checkpoints:
    """The checkpoints of a training in one folder.

    Args:
        facts: what the weights depend on: settings, data, the model it began with. One that was written with others is
            refused.
        keep: newest ones that are kept, beside the best.
    """

    def __init__(self, out: Path, facts: Mapping[str, Any], keep: int) -> None:
        self.folder = out / CHECKPOINTS
        self._facts = json.loads(json.dumps(facts))
        self._keep = keep

    def steps(self) -> list[int]:
        """Steps of all whole checkpoints, ascending."""
        return sorted(int(path.parent.name.removeprefix("step-")) for path in self.folder.glob(f"step-*/{STATE_FILE}"))

    def path(self, step: int) -> Path:
        """Where the checkpoint after so many steps lies."""
        return self.folder / f"step-{step:08d}"

    def save(self, weights: TrainedWeights, optimizer: torch.optim.Optimizer, progress: Progress) -> Path:
        """Writes a checkpoint, then removes those that are no longer kept.

        Where weights are spread, the other processes call `give` meanwhile.
        """
        target, temporary = self.path(progress.step), self.folder / f".step-{progress.step:08d}"
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover)
        temporary.mkdir(parents=True)
        weights.save(temporary)
        numbers = save_optimizer(temporary, optimizer, list(weights.parameters))
        state = {"step": progress.step, "seconds": progress.seconds, "curve": progress.curve, "facts": self._facts}
        (temporary / STATE_FILE).write_text(json.dumps(state | {"optimizer": numbers}, indent=1) + "\n", "utf-8")
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
        self._prune(progress)
        return target

    def give(self, weights: TrainedWeights, optimizer: torch.optim.Optimizer) -> None:
        """This process's parts of spread weights, for the one that saves them."""
        weights.save(None)
        save_optimizer(None, optimizer, list(weights.parameters))

    def load(self, weights: TrainedWeights, optimizer: torch.optim.Optimizer) -> Progress:
        """Fills weights and optimiser from the newest checkpoint; without one, the beginning.

        Raises:
            UserError: when it was written by a training with other settings or data, or is damaged.
        """
        if not (steps := self.steps()):
            return Progress()
        folder = self.path(steps[-1])
        try:
            state = json.loads((folder / STATE_FILE).read_bytes())
            stored, found = state["optimizer"], state["facts"]
            curve = tuple((step, loss) for step, loss in state["curve"])
            progress = Progress(state["step"], state["seconds"], curve)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / STATE_FILE} is damaged ({error}): remove {folder.name}") from error
        if (difference := _difference(found, self._facts, ())) is not None:
            raise UserError(f"{self.folder} belongs to another training ({difference}): give another `out`")
        weights.load(folder)
        load_optimizer(folder, optimizer, list(weights.parameters), stored)
        return progress

    def _prune(self, progress: Progress) -> None:
        kept = {*self.steps()[-self._keep :], progress.best}
        for step in self.steps():
            if step not in kept:
                shutil.rmtree(self.path(step))


def save_optimizer(folder: Path | None, optimizer: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Any]:
    """Writes an optimiser's tensors and returns its numbers, which JSON holds exactly.

    Args:
        folder: None to take part in putting spread tensors together without writing them.
        names: of its parameters, in order.
    """
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    slots: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for slot, found in values.items():
            key = f"{names[index]}/{slot}"
            value = whole(found) if isinstance(found, Tensor) else found
            if folder is None:
                continue
            if not isinstance(value, Tensor):
                slots.setdefault(names[index], {})[slot] = value
            elif type(value) is Tensor:
                tensors[key] = value.detach().cpu().contiguous()
            else:  # 8-bit state consists of several tensors
                inner, context = value.__tensor_flatten__()  # type: ignore[attr-defined]
                tensors |= {f"{key}/{name}": getattr(value, name).cpu().contiguous() for name in inner}
                slots.setdefault(names[index], {})[slot] = {"signed": context[0]}
    if folder:
        save_file(tensors, folder / OPTIMIZER_FILE)
    groups = [
        {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in group.items()
            if name != "params"
        }
        for group in state["param_groups"]
    ]
    return {"groups": groups, "slots": slots}


def load_optimizer(
    folder: Path, optimizer: torch.optim.Optimizer, names: Sequence[str], numbers: Mapping[str, Any]
) -> None:
    """Takes back what `save_optimizer` wrote. Raises UserError when the file is missing, broken or does not fit."""
    places = {name: index for index, name in enumerate(names)}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    try:
        parts: dict[tuple[str, str], dict[str, Tensor]] = {}
        for key, tensor in load_file(folder / OPTIMIZER_FILE).items():
            name, slot, *inner = key.split("/")
            if inner:
                parts.setdefault((name, slot), {})[inner[0]] = tensor
            else:
                parameter = parameters[places[name]]
                kept = spread_like(tensor, parameter) if tensor.shape == parameter.shape else tensor
                state.setdefault(places[name], {})[slot] = kept
        for name, slots in numbers["slots"].items():
            for slot, value in slots.items():
                if (name, slot) in parts:
                    value = _eight_bit(parts[name, slot], value["signed"])
                state.setdefault(places[name], {})[slot] = value
        groups = optimizer.state_dict()["param_groups"]
        for group, stored in zip(groups, numbers["groups"], strict=True):
            group |= {
                name: torch.tensor(value) if isinstance(group.get(name), Tensor) else _tuple_if_list(value)
                for name, value in stored.items()
                if name != "params"
            }
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder} is damaged or of another optimiser ({error}): remove {folder.name}") from error


def _eight_bit(parts: Mapping[str, Tensor], signed: bool) -> Tensor:
    from torchao.optim.subclass_8bit import OptimState8bit

    state: Tensor = OptimState8bit(parts["codes"], parts["scale"], parts["qmap"], signed, torch.float32)
    return state


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _tuple_if_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _difference(found: Any, wanted: Any, path: tuple[str, ...]) -> str | None:
    """The first place where two trees of plain values differ, in words."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {**wanted, **found}:
            difference = _difference(found.get(name), wanted.get(name), (*path, name))
            if difference is not None:
                return difference
        return None
    return None if found == wanted else f"{'.'.join(path)} was {_short(found)}, is {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
