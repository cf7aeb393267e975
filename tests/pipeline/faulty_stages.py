"""Stages that go wrong in every way, for the tests of the executor. Ray loads them by name in its workers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.stage import Stage


def count(folder: Path, what: str) -> int:
    """Notes that something happens, in any process; tells how often it had happened before."""
    for number in range(1000):
        try:
            (folder / f"{what}-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError(what)


class Hanging(Stage[Any, Any]):
    """Never comes back from its first batch; nothing but the end of its process helps."""

    name = "hanging"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def process(self, batch: Sequence[Any]) -> list[Any]:
        if count(self._folder, "batch") == 0:
            while True:
                time.sleep(60)
        return list(batch)


class SickGpu(Stage[Any, Any]):
    """The first process of all has a GPU that fails, and goes on failing."""

    name = "sick_gpu"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def setup(self) -> None:
        self._sick = count(self._folder, "setup") == 0

    def process(self, batch: Sequence[Any]) -> list[Any]:
        if self._sick:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return list(batch)


class FlakySetup(Stage[Any, Any]):
    """Its process dies in the first batch; the next one cannot load, the third can."""

    name = "flaky_setup"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def setup(self) -> None:
        if count(self._folder, "setup") == 1:
            raise RuntimeError("the file system is not mounted yet")

    def process(self, batch: Sequence[Any]) -> list[Any]:
        if count(self._folder, "batch") == 0:
            os._exit(1)
        return list(batch)


class SlowToLoad(Stage[Any, Any]):
    """All processes but the first to come wait for a file before they are ready. Returns the process of each item."""

    name = "slow_to_load"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def setup(self) -> None:
        if count(self._folder, "setup") > 0:
            while not (self._folder / "go").exists():
                time.sleep(0.02)

    def process(self, batch: Sequence[Any]) -> list[Any]:
        time.sleep(0.2)
        return [os.getpid()] * len(batch)


class Large(Stage[Any, Any]):
    """Makes an array of so many megabytes for each item, filled with the item's value."""

    name = "large"

    def __init__(self, megabytes: int) -> None:
        self._megabytes = megabytes

    def process(self, batch: Sequence[Any]) -> list[Any]:
        return [np.full(self._megabytes << 20, item.value, np.uint8) for item in batch]


class Measuring(Stage[Any, Any]):
    """Tells least and largest value of each array."""

    name = "measuring"

    def process(self, batch: Sequence[Any]) -> list[Any]:
        return [(int(array.min()), int(array.max()), len(array) >> 20) for array in batch]


class WhichGpu(Stage[Any, Any]):
    """Tells process and GPU of each item."""

    name = "which_gpu"

    def process(self, batch: Sequence[Any]) -> list[Any]:
        time.sleep(0.2)
        return [(os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "")) for _ in batch]
