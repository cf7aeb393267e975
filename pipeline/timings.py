"""When each batch was worked on: appended to `RUN/timings/`, for the timeline and for estimates.

Kept out of chunks and shards, because no two runs take the same time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from ledger.run_directory import TIMINGS_FOLDER
from pipeline.pools import BatchReport


class TimingsLog:
    """Writes one line per batch, as it ends."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def on_batch(self, report: BatchReport) -> None:
        self._stream.write(json.dumps(asdict(report)) + "\n")


@contextmanager
def timings_log(run: Path) -> Iterator[TimingsLog]:
    """A new log for this sitting of a run; each sitting has its own file, numbered in order."""
    folder = run / TIMINGS_FOLDER
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob("*.jsonl")))
    with (folder / f"{number:04d}.jsonl").open("w", encoding="utf-8", buffering=1) as stream:
        yield TimingsLog(stream)


def read_timings(run: Path) -> list[list[BatchReport]]:
    """The batches of each sitting, in order. A last line cut short by a kill is left out."""
    sittings = []
    for file in sorted((run / TIMINGS_FOLDER).glob("*.jsonl")):
        reports = []
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                reports.append(BatchReport(**json.loads(line)))
            except json.JSONDecodeError:
                break
        sittings.append(reports)
    return [reports for reports in sittings if reports]
