"""`layerprism status`: how far a run is, what failed, what is published, and whether somebody is at work on it."""

from __future__ import annotations

import fcntl
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ledger.lease import STALE_SECONDS, driver_at_work, last_driver, last_sign
from ledger.run_directory import LOCK_FILE, SHARDS_FOLDER, RunDirectory
from ledger.summary import FailedSample, RunSummary
from pipeline.estimate_view import duration
from pipeline.forecast import TimeLeft, time_left
from pipeline.live import Live, read_live
from pipeline.live_view import live_line, render_live, watch
from shards.files import join_place
from shards.manifest import MANIFEST_FILE, publication_fingerprint
from shards.reader import publication_files

EXAMPLES = 3
"""Failed samples that are named for each stage."""


@dataclass(frozen=True)
class StageFailures:
    """The samples that failed in one stage: how many, and the first few with their errors."""

    stage: str
    count: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PublicationStatus:
    """The current publication."""

    samples: int
    fingerprint: str


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        chunks, planned_chunks: committed, and in the plan.
        finished, failed, pending: samples; together all planned ones.
        layers: of finished samples.
        publication: None before the first one, or where it is damaged.
        failures: by stage, the most frequent first.
        driver: the process that drives the run now: its id, 0 where it is not known; None when nobody does.
        left: until all chunks are there; None where nothing tells, or nobody drives.
        live: what the driver said last; None where nobody drives.
        host: the driver's machine where it is another one than this; empty otherwise.
        silent_seconds: since the driver's last sign of life by its clock and ours; None where it gave none.
    """

    place: str
    name: str
    fingerprint: str
    chunks: int
    planned_chunks: int
    finished: int
    failed: int
    pending: int
    layers: int
    publication: PublicationStatus | None
    failures: tuple[StageFailures, ...]
    driver: int | None
    left: TimeLeft | None = None
    live: Live | None = None
    host: str = ""
    silent_seconds: float | None = None

    @property
    def planned(self) -> int:
        return self.finished + self.failed + self.pending


def run_status(place: Path | str) -> RunStatus:
    """Looks at a run without touching its images. Raises UserError when the folder is no run."""
    run = RunDirectory.open(place)
    summary = RunSummary.load(run.storage)
    counts = summary.counts()
    planned, planned_chunks = _planned(run)
    driver = driver_of(run)
    host, silent = _sign_of_life(run) if driver is not None else ("", None)
    return RunStatus(
        place=run.place,
        name=str(run.info.get("config", {}).get("name", "")),
        fingerprint=run.fingerprint,
        chunks=counts.chunks,
        planned_chunks=planned_chunks,
        finished=counts.finished,
        failed=counts.failed,
        pending=planned - counts.finished - counts.failed,
        layers=counts.layers,
        publication=_publication(run),
        failures=_by_stage(summary.failures()),
        driver=driver,
        left=time_left(run, planned_chunks - counts.chunks, planned_chunks) if driver is not None else None,
        live=read_live(run.storage) if driver is not None else None,
        host=host,
        silent_seconds=silent,
    )


def driver_of(run: RunDirectory) -> int | None:
    """The id of the process that drives a run, 0 where it is not known; None when nobody does."""
    if not run.storage.is_local:
        driver = driver_at_work(run.storage)
        return driver.pid if driver else None
    try:
        with (run.path / LOCK_FILE).open("rb") as lock:
            try:
                # Shared, so that two who look do not take each other for a driver; let go at once by closing.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = lock.read(32).strip()
                return int(holder) if holder.isdigit() else 0
    except FileNotFoundError:  # nobody ever drove it
        pass
    return None


def _sign_of_life(run: RunDirectory) -> tuple[str, float | None]:
    """The machine of whoever holds the lease, unless it is this one, and for how long nothing was heard of them."""
    driver = last_driver(run.storage)
    if driver is None:
        return "", None
    sign = last_sign(run.storage, driver)
    host = driver.host if driver.host != socket.gethostname() else ""
    return host, max(0.0, time.time() - sign.at) if sign is not None else None


def render_status(status: RunStatus) -> RenderableType:
    """The status for a terminal."""
    done = status.finished + status.failed
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("run", Text(status.place + (f" ({status.name})" if status.name else "")))
    table.add_row("fingerprint", status.fingerprint[:12])
    table.add_row("samples", _samples_line(status))
    table.add_row("", ProgressBar(total=max(status.planned, 1), completed=done, width=40))
    table.add_row("chunks", f"{status.chunks:,} of {status.planned_chunks:,}")
    table.add_row("layers", f"{status.layers:,}")
    table.add_row("published", _publication_line(status))
    table.add_row("driver", _driver_line(status))
    if status.left is not None:
        table.add_row("time left", _left_line(status.left))
    parts: list[RenderableType] = [table]
    if status.live is not None:
        now = time.time()
        table.add_row("now", live_line(status.live, now))
        parts += ["", render_live(status.live, now)]
    if status.failures:
        parts += ["", _failures_table(status.failures), Text(f"again: layerprism retry {status.place}")]
    return Group(*parts)


def status_line(status: RunStatus) -> str:
    """The status in one line."""
    said = f"; {live_line(status.live, time.time())}" if status.live is not None else ""
    samples = f"{_samples_line(status)}, {status.chunks:,} of {status.planned_chunks:,} chunks"
    left = f"; {_left_line(status.left)}" if status.left is not None else ""
    return f"{samples}; {_driver_line(status)}{said}{left}"


def watch_status(place: Path | str, every_seconds: float, console: Console) -> None:
    """Shows a run's status again and again, until nobody is at work on it any more."""

    def look() -> tuple[RenderableType, str, bool]:
        status = run_status(place)
        return render_status(status), status_line(status), status.driver is not None

    watch(look, every_seconds, console)


def _samples_line(status: RunStatus) -> Text:
    line = Text(f"{status.finished:,} of {status.planned:,} finished")
    if status.failed:
        line.append(f", {status.failed:,} failed", style="red")
    if status.pending:
        line.append(f", {status.pending:,} pending")
    return line


def _publication_line(status: RunStatus) -> str:
    if status.publication is None:
        return "nothing yet"
    return f"{status.publication.samples:,} samples, fingerprint {status.publication.fingerprint[:12]}"


def _driver_line(status: RunStatus) -> str:
    if status.driver is None:
        return "nobody at work" + ("; layerprism run goes on from here" if status.pending else "")
    who = f"process {status.driver}" + (f" on {status.host}" if status.host else "")
    if status.silent_seconds is not None and status.silent_seconds > STALE_SECONDS:
        return f"{who}, silent for {duration(status.silent_seconds)}; if it is dead, layerprism run goes on from here"
    return f"{who} at work" if status.driver else "at work"


def _left_line(left: TimeLeft) -> str:
    source = "at the pace so far" if left.source == "pace" else "as estimated before the run"
    return f"{duration(left.seconds)} until all chunks are there, {source}"


def _failures_table(failures: tuple[StageFailures, ...]) -> Table:
    table = Table("failed in", "samples", "for example", title="Failures", title_justify="left", title_style="bold")
    table.columns[1].justify = "right"
    for stage in failures:
        examples = "\n".join(f"{sample_id}: {error}" for sample_id, error in stage.examples)
        table.add_row(Text(stage.stage), f"{stage.count:,}", Text(examples))
    return table


def _planned(run: RunDirectory) -> tuple[int, int]:
    """Samples and chunks of the plan."""
    chunks = run.read_plan(["chunk"]).column("chunk")
    return len(chunks), pc.count_distinct(chunks).as_py()


def _publication(run: RunDirectory) -> PublicationStatus | None:
    """From file headers alone: a manifest can be as long as the run."""
    files = publication_files(join_place(run.place, SHARDS_FOLDER))
    try:
        with files.open(MANIFEST_FILE) as stream:
            samples = pq.read_metadata(stream).num_rows
        return PublicationStatus(samples, publication_fingerprint(files))
    except (OSError, pa.ArrowException):
        return None


def _by_stage(failures: Sequence[FailedSample]) -> tuple[StageFailures, ...]:
    by_stage: dict[str, list[tuple[str, str]]] = {}
    for failure in failures:
        by_stage.setdefault(failure.stage, []).append((failure.sample_id, failure.error))
    ordered = sorted(by_stage.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(StageFailures(stage, len(samples), tuple(samples[:EXAMPLES])) for stage, samples in ordered)
