"""Stages that need no model, for the tests of what drives stages. Ray loads them by name in its workers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.run_overhead import FixedLatency
from layered import UserError
from stages.records import BASE_IMAGE, Draw, Drawn
from stages.stage import Failed, Stage


@dataclass(frozen=True)
class Item:
    sample_id: str
    layer_index: int = 0
    value: Any = None


class Tagging(Stage[Any, Any]):
    """Returns (own name, item): shows what came in, in which order."""

    def __init__(self, name: str = "tagging") -> None:
        self.name = name

    def process(self, batch: Sequence[Any]) -> list[Any]:
        return [(self.name, item) for item in batch]


class Poisoned(Stage[Any, Any]):
    """Raises on a batch that holds one of the named samples."""

    name = "poisoned"

    def __init__(self, *sample_ids: str) -> None:
        self._poison = sample_ids

    def process(self, batch: Sequence[Any]) -> list[Any]:
        for item in batch:
            if item.sample_id in self._poison:
                raise ValueError(f"cannot digest {item.sample_id}")
        return list(batch)


class Deadly(Stage[Any, Any]):
    """Kills its process on a batch that holds one of the named samples; notes each try in a folder."""

    name = "deadly"

    def __init__(self, folder: Path, *sample_ids: str, only_first_try: bool = False) -> None:
        self._folder, self._poison, self._only_first_try = folder, sample_ids, only_first_try

    def process(self, batch: Sequence[Any]) -> list[Any]:
        for item in batch:
            if item.sample_id in self._poison:
                tries = len(list(self._folder.glob(f"{item.sample_id}-*")))
                if not (self._only_first_try and tries):
                    (self._folder / f"{item.sample_id}-{tries}").touch()
                    os._exit(1)
        return list(batch)


class Slow(Stage[Any, Any]):
    """Takes a fixed time per item."""

    name = "slow"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def process(self, batch: Sequence[Any]) -> list[Any]:
        time.sleep(self._seconds * len(batch))
        return list(batch)


class Refusing(Stage[Any, Any]):
    """Finds in `setup` that its configuration is wrong."""

    name = "refusing"

    def setup(self) -> None:
        raise UserError("there is no model at /nowhere: give the path of one")

    def process(self, batch: Sequence[Any]) -> list[Any]:
        raise AssertionError("never set up")


class Forgetful(Stage[Any, Any]):
    """Breaks the promise of one result per input."""

    name = "forgetful"

    def process(self, batch: Sequence[Any]) -> list[Any]:
        return list(batch)[:-1]


class HalfFailing(Stage[Any, Any]):
    """Fails every second item by itself, politely."""

    name = "half_failing"

    def process(self, batch: Sequence[Any]) -> list[Any]:
        return [Failed(item.sample_id, self.name, "odd", "") if index % 2 else item for index, item in enumerate(batch)]


class DeadlyPainter(FixedLatency):
    """Paints discs at once; kills its process on the base image of one sample, raises on any draw of another."""

    def __init__(self, kills: str, raises: str) -> None:
        super().__init__(0)
        self._kills, self._raises = kills, raises

    def process(self, batch: Sequence[Any]) -> list[Any]:
        if any(draw.sample_id == self._kills and draw.layer_index == BASE_IMAGE for draw in batch):
            os._exit(1)
        if any(draw.sample_id == self._raises for draw in batch):
            raise RuntimeError("the generator cannot draw this")
        return super().process(batch)


class TransparentPainter(Stage[Draw, Drawn]):
    """A generator that draws half-transparent squares with alpha of its own, base images too."""

    name = "layer_flux"

    def process(self, batch: Sequence[Draw]) -> list[Drawn | Failed]:
        return [self._drawn(draw) for draw in batch]

    def _drawn(self, draw: Draw) -> Drawn:
        width, height = draw.size
        rgba = np.zeros((height, width, 4), np.uint8)
        rgba[height // 4 : -height // 4, width // 4 : -width // 4] = (draw.seed % 256, 40, 200, 128)
        return Drawn(draw, rgba, (1, *draw.size), "transparent", "1", "Apache-2.0")
