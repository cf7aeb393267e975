"""Measures a batch in the process that works on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import gpu_memory
from pipeline.pools import BatchReport
from stages.records import Draw


class BatchMeter:
    """Runs from when it is made; to be read by the same thread."""

    def __init__(self, stage: str, worker: str, chunk: int, items: Sequence[Any], attempt: int = 1) -> None:
        self._stage, self._worker, self._chunk, self._items, self._attempt = stage, worker, chunk, items, attempt
        gpu_memory.start_measuring()
        self._started, self._cpu, self._core_wait = time.time(), time.process_time(), _waited_for_cores()

    def report(self, failed: int) -> BatchReport:
        """What the batch took until now; `failed` counts its items."""
        return BatchReport(
            stage=self._stage,
            worker=self._worker,
            chunk=self._chunk,
            items=len(self._items),
            failed=failed,
            started=self._started,
            ended=time.time(),
            pixels=_generated_pixels(self._items),
            attempt=self._attempt,
            peak_gpu_bytes=gpu_memory.peak_bytes(),
            cpu_seconds=time.process_time() - self._cpu,
            core_wait_seconds=_waited_for_cores() - self._core_wait,
        )


def _waited_for_cores() -> float:
    """Seconds that this thread has been ready to compute and had no core to do so; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):  # not Linux, or one that does not count
        return 0.0


def _generated_pixels(items: Sequence[Any]) -> int:
    """How many pixels a batch asks a generator for."""
    return sum(item.size[0] * item.size[1] for item in items if isinstance(item, Draw))
