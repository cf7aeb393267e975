"""A generator that only waits and draws flat shapes: for trying a cluster, its faults and its bill without a model.

Guarantees: a picture depends on its prompt, seed and size alone, so that the same plan gives the same bytes in batches
of any shape; how long a batch takes and which pictures fail follow from the draws' seeds. No torch is imported, so that
many workers fit onto one small machine.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from layered.arrays import Color, Size, UInt8Array
from layered.seeds import derive_seed

if TYPE_CHECKING:
    from stages.layer_flux import ResolvedLayerFlux

SIMULATED_MODEL: Final = "simulated"

_GRAY: Final = 128
_LEAST_CONTRAST: Final = 64
"""Of the shape to the gray background, in each channel: any way of matting tells the two apart."""


class SimulatedConfig(BaseModel):
    """The `layer_flux.simulated` section, for `layer_flux.model: simulated` alone.

    A batch takes ``(seconds_per_batch + seconds_per_layer · pictures) · f``, where f is log-normal with mean 1.

    Attributes:
        seconds_per_batch, seconds_per_layer: a batch's mean time: what it costs at any size, and for each picture.
        latency_spread: standard deviation of log f; 0 makes all batches of one length equal.
        load_seconds: until a process has loaded its model.
        memory_mb: held by each process, as a model would be.
        failure_rate: share of the pictures that cannot be drawn and break their batch.
        object_sizes: least and largest side of a shape, as a part of the picture's; even between the two.
        grain: noise on the shape in levels of 255, so that files are as hard to compress as photographs.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    seconds_per_batch: float = Field(0.0, ge=0)
    seconds_per_layer: float = Field(0.0, ge=0)
    latency_spread: float = Field(0.0, ge=0, le=3)
    load_seconds: float = Field(0.0, ge=0)
    memory_mb: int = Field(0, ge=0)
    failure_rate: float = Field(0.0, ge=0, le=1)
    object_sizes: tuple[float, float] = (0.5, 0.8)
    grain: int = Field(0, ge=0, le=63)

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        least, largest = self.object_sizes
        if not 0.1 <= least <= largest <= 1:
            raise ValueError(f"object_sizes {[least, largest]} must rise within 0.1…1")
        return self


SIMULATED_TIMES: Final = {"seconds_per_batch", "seconds_per_layer", "latency_spread", "load_seconds", "memory_mb"}
"""The settings that change no byte."""


class SimulatedFailureError(RuntimeError):
    """A picture that cannot be drawn; the message names its seed."""


class SimulatedGenerator:
    """Draws like `stages.generator.Generator`, without a model.

    Attributes:
        revision: of the way of drawing.
    """

    def __init__(self, settings: ResolvedLayerFlux) -> None:
        """Takes as long, and as much memory, as the settings say."""
        self.settings = settings
        self.revision = settings.revision
        self._config = settings.simulated
        time.sleep(self._config.load_seconds)
        self._weights = np.ones(self._config.memory_mb * 2**20, np.uint8)  # written to, so that it is really taken

    def draw(self, requests: Sequence[tuple[str, int]], size: Size) -> list[UInt8Array]:
        """One RGB picture ``[height, width, 3]`` per (prompt, seed). Raises SimulatedFailureError, in its time."""
        time.sleep(batch_seconds(self._config, [seed for _, seed in requests]))
        for _, seed in requests:
            if fails(self._config, seed):
                raise SimulatedFailureError(f"the simulated generator cannot draw seed {seed}")
        return [draw_shape(prompt, seed, size, self._config) for prompt, seed in requests]


def batch_seconds(config: SimulatedConfig, seeds: Sequence[int]) -> float:
    """How long a batch takes; a function of its first seed and its length."""
    mean = config.seconds_per_batch + config.seconds_per_layer * len(seeds)
    if not config.latency_spread or not seeds:
        return mean
    deviate = random.Random(derive_seed(seeds[0], "", 0, 0, "simulated latency")).gauss()
    return mean * math.exp(config.latency_spread * deviate - config.latency_spread**2 / 2)


def fails(config: SimulatedConfig, seed: int) -> bool:
    """Whether the picture of this seed cannot be drawn; it never can."""
    if not config.failure_rate:
        return False
    return derive_seed(seed, "", 0, 0, "simulated failure") / 2**63 < config.failure_rate


def draw_shape(prompt: str, seed: int, size: Size, config: SimulatedConfig) -> UInt8Array:
    """An ellipse or a box on mid-gray, RGB ``[height, width, 3]``: its colour is the prompt's, the rest the seed's."""
    width, height = size
    rng = random.Random(derive_seed(seed, prompt, width, height, "simulated picture"))
    least, largest = config.object_sizes
    across, down = (side * rng.uniform(least, largest) for side in size)
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    x = (np.arange(width) + 0.5 - left - across / 2) / (across / 2)
    y = (np.arange(height) + 0.5 - top - down / 2) / (down / 2)
    if rng.random() < 0.5:
        inside = (y * y)[:, None] + (x * x)[None, :] <= 1
    else:
        inside = (np.abs(y) <= 1)[:, None] & (np.abs(x) <= 1)[None, :]
    picture = np.full((height, width, 3), _GRAY, np.uint8)
    color = np.array(_color_of(prompt), np.int16)
    if config.grain:
        noise = np.random.default_rng(rng.getrandbits(63)).integers(
            -config.grain, config.grain, (int(inside.sum()), 3), np.int16, endpoint=True
        )
        color = np.clip(color + noise, 0, 255)
    picture[inside] = color.astype(np.uint8)
    return picture


def _color_of(prompt: str) -> Color:
    """A colour with every channel well away from mid-gray."""
    red, green, blue = (_away_from_gray(byte) for byte in hashlib.blake2b(prompt.encode(), digest_size=3).digest())
    return red, green, blue


def _away_from_gray(byte: int) -> int:
    offset = _LEAST_CONTRAST + (byte >> 1) % (_GRAY - _LEAST_CONTRAST)
    return _GRAY + offset if byte & 1 else _GRAY - offset
