"""When each batch was worked on: appended to `RUN/timings/`, for the timeline and for estimates.

Kept out of chunks and shards, because no two runs take the same time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from ledger.run_directory import TIMINGS_FOLDER
from ledger.storage import Storage
from pipeline.pools import BatchReport
from shards.files import Files, local_path

_SECONDS_PER_PART = 60.0
"""How much of a log a driver that dies may lose in an object store, where nothing can be appended."""


class TimingsLog:
    """Writes one line per batch, as it ends."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def on_batch(self, report: BatchReport) -> None:
        self._write(json.dumps(asdict(report)) + "\n")


@contextmanager
def timings_log(storage: Storage) -> Iterator[TimingsLog]:
    """A new log for this sitting of a run; each sitting has its own file, or files, numbered in order."""
    sitting = max((_sitting_of(name) for name in storage.list(TIMINGS_FOLDER)), default=-1) + 1
    path = local_path(storage.place)
    if path is None:
        parts = _Parts(storage, sitting)
        try:
            yield TimingsLog(parts.add)
        finally:
            parts.write()
        return
    folder = path / TIMINGS_FOLDER
    folder.mkdir(exist_ok=True)
    with (folder / f"{sitting:04d}.jsonl").open("w", encoding="utf-8", buffering=1) as stream:
        yield TimingsLog(stream.write)


def read_timings(files: Files) -> list[list[BatchReport]]:
    """The batches of each sitting, in order. A last line cut short by a kill is left out."""
    sittings: dict[int, list[BatchReport]] = {}
    for name in files.list(TIMINGS_FOLDER):
        reports = sittings.setdefault(_sitting_of(name), [])
        for line in files.read(name).decode().splitlines():
            try:
                reports.append(BatchReport(**json.loads(line)))
            except json.JSONDecodeError:
                break
    return [reports for _, reports in sorted(sittings.items()) if reports]


class _Parts:
    """A log in an object store: files of what came in within a minute, ``0003-00012.jsonl``."""

    def __init__(self, storage: Storage, sitting: int) -> None:
        self._storage, self._sitting = storage, sitting
        self._number, self._since = 0, time.monotonic()
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)
        if time.monotonic() - self._since > _SECONDS_PER_PART:
            self.write()

    def write(self) -> None:
        if self._lines:
            name = f"{TIMINGS_FOLDER}/{self._sitting:04d}-{self._number:05d}.jsonl"
            self._storage.write(name, "".join(self._lines).encode(), durable=False)
        self._number, self._lines, self._since = self._number + 1, [], time.monotonic()


def _sitting_of(name: str) -> int:
    return int(name.rpartition("/")[2].removesuffix(".jsonl").partition("-")[0])
