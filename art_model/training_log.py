"""Curves and pictures of a training: a line for people, TensorBoard, and Weights & Biases where that is asked for."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from layered.arrays import UInt8Array
from layered.errors import UserError

LOGS = "logs"
_KILOBYTES = 1024


class TrainingLog:
    """Writes into `out`/logs.

    Args:
        step: updates done before this start; what a killed start wrote after them is taken back.
        wandb: project, or None.
        config: recorded with the run on Weights & Biases.
        say: takes lines for people.

    Raises:
        UserError: when a library is not installed.
    """

    def __init__(
        self, out: Path, step: int, wandb: str | None, config: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("the curves need tensorboard: pip install 'layerprism[train]'") from error
        self._writer: Any = SummaryWriter(str(out / LOGS), purge_step=step + 1)  # type: ignore[no-untyped-call]
        self._wandb: Any = None
        self._say = say
        if wandb is not None:
            try:
                import wandb as library
            except ImportError as error:
                raise UserError("log.wandb needs wandb: pip install wandb, or leave it out") from error
            self._wandb = library.init(project=wandb, name=out.name, dir=str(out), config=dict(config), resume="allow")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers after a step, by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)

    def picture(self, step: int, name: str, pixels: UInt8Array) -> None:
        """An RGB picture."""
        self._writer.add_image(name, pixels, step, dataformats="HWC")
        if self._wandb is not None:
            from wandb import Image

            self._wandb.log({name: Image(pixels)}, step=step)

    def line(self, text: str) -> None:
        """A line for people."""
        self._say(text)

    def close(self) -> None:
        """Writes what is still in memory."""
        self._writer.close()
        if self._wandb is not None:
            self._wandb.finish()


def memory_gigabytes(device: torch.device) -> float:
    """The most that was in use so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTES / 1e9
