"""`RUN/live.json`: what the driver knows of a run at work, for whoever looks, from whatever machine.

Replaced every few seconds; of no interest to anything but the eye. How far a run is, its commits alone decide.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field

from ledger.storage import Storage
from ledger.summary import refresh_summary
from pipeline.committing import Committed
from pipeline.pools import BatchReport
from pipeline.progress import RunProgress
from pipeline.retrying import FaultReport

LIVE_FILE = "live.json"
RATE_SECONDS = 300.0
"""The time over which a rate is taken."""
SUMMARY_SECONDS = 30.0
"""Between two updates of the summary that `layerprism status` reads."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveWorker:
    """A worker's last batch. `last_seen`: seconds since 1970 by its machine's clock."""

    last_seen: float
    stage: str
    chunk: int


@dataclass(frozen=True)
class LiveStage:
    """A stage in this sitting of a run. `in_stage`: items that wait for it or are in it now."""

    items: int = 0
    failed: int = 0
    in_stage: int = 0


@dataclass(frozen=True)
class Live:
    """What the driver said last.

    Attributes:
        at: when, in seconds since 1970 by its clock.
        began: of this sitting.
        every_seconds: how long until it says more.
        planned, drawn: pictures of this sitting, redraws left out.
        per_second: pictures drawn per second in the last `RATE_SECONDS`, redraws included.
    """

    at: float
    began: float
    every_seconds: float
    planned: int
    drawn: int
    per_second: float
    stages: dict[str, LiveStage] = field(default_factory=dict)
    workers: dict[str, LiveWorker] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Live:
        """Raises ValueError, TypeError or KeyError for what is none."""
        values = json.loads(data)
        stages = {name: LiveStage(**stage) for name, stage in values.pop("stages").items()}
        workers = {name: LiveWorker(**worker) for name, worker in values.pop("workers").items()}
        return cls(**values, stages=stages, workers=workers)


class LiveFile:
    """Writes `LIVE_FILE` again and again, in a thread of its own: a slow storage keeps nobody waiting."""

    def __init__(self, storage: Storage, progress: RunProgress, every_seconds: float) -> None:
        self._storage, self._progress, self._every = storage, progress, every_seconds
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._began = time.time()
        self._stages: dict[str, LiveStage] = {}
        self._workers: dict[str, LiveWorker] = {}
        self._drawn: deque[tuple[float, int]] = deque([(self._began, 0)])
        self._thread = threading.Thread(target=self._keep_writing, name="live", daemon=True)

    def __enter__(self) -> LiveFile:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._write()

    def on_asked(self, stage: str, items: int) -> None:
        with self._lock:
            known = self._stages.get(stage, LiveStage())
            self._stages[stage] = LiveStage(known.items, known.failed, known.in_stage + items)

    def on_batch(self, report: BatchReport) -> None:
        with self._lock:
            known = self._stages.get(report.stage, LiveStage())
            self._stages[report.stage] = LiveStage(
                known.items + report.items, known.failed + report.failed, known.in_stage
            )
            self._workers[report.worker] = LiveWorker(report.ended, report.stage, report.chunk)

    def on_fault(self, report: FaultReport) -> None:
        pass

    def on_chunk(self, committed: Committed) -> None:
        pass

    def now(self) -> Live:
        """What can be said now."""
        now = time.time()
        drawn, again, planned = self._progress.drawn
        with self._lock:
            while len(self._drawn) > 1 and now - self._drawn[1][0] > RATE_SECONDS:
                self._drawn.popleft()
            then, before = self._drawn[0]
            self._drawn.append((now, drawn + again))
            rate = (drawn + again - before) / max(now - then, 1e-3)
            stages, workers = self._stages.copy(), self._workers.copy()
        return Live(now, self._began, self._every, planned, drawn, rate, stages, workers)

    def _keep_writing(self) -> None:
        self._write()
        refreshed = time.monotonic()
        while not self._ended.wait(self._every):
            self._write()
            if time.monotonic() - refreshed >= SUMMARY_SECONDS:
                self._refresh_summary()
                refreshed = time.monotonic()

    def _write(self) -> None:
        try:
            self._storage.write(LIVE_FILE, self.now().to_bytes(), durable=False)
        except Exception as error:  # a store that is gone is told by whoever has something to keep
            _logger.debug("%s could not be written: %s", LIVE_FILE, error)

    def _refresh_summary(self) -> None:
        """Lets whoever asks how far the run is find little to read."""
        try:
            refresh_summary(self._storage)
        except Exception as error:  # as above: whoever looks can do without
            _logger.debug("the summary could not be brought up to date: %s", error)


def read_live(storage: Storage) -> Live | None:
    """What the driver said last; None where it never said anything, or nothing that this version understands."""
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return Live.from_bytes(storage.read(LIVE_FILE))
    return None
