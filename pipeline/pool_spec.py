"""What a pool of processes is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stages.stage import Stage


@dataclass(frozen=True)
class PoolSpec:
    """Some stages that share processes.

    Attributes:
        stages: by name. Each process gets its own copy and sets it up once.
        workers: processes at most.
        cpus, gpus: what Ray reserves for each of them; several may share a GPU.
        min_workers: processes for which there must be room when the run starts; None for all of them.
        at_first: processes that are asked for at once; None for all of them, the others follow the queue.
    """

    name: str
    stages: Mapping[str, Stage[Any, Any]]
    workers: int
    cpus: float
    gpus: float = 0.0
    min_workers: int | None = None
    at_first: int | None = None
