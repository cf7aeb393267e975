"""`layerprism export`: samples into other programs' files, by several processes, resumable."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from exports.formats import FormatOptions, Sample, SampleFormat, SummedFormat, format_of
from layered.errors import FailedWorkError, UserError
from pipeline.export_source import Source, changed_at, chosen_ids, identity, open_source, split_key
from shards.files import local_path

STATE_FILE: Final = ".export.json"
"""Says what a folder of exported files was made from."""

KEYS_PER_TASK: Final = 8
SECONDS_BETWEEN_LINES: Final = 10.0
MOST_SHOWN: Final = 5
"""Warnings and failures that are printed."""


@dataclass(frozen=True)
class ExportOptions:
    """The options of the command.

    Attributes:
        select: a file that names samples.
        keys: samples named one by one.
        workers: processes; None takes one for each core.
    """

    select: Path | None = None
    keys: tuple[str, ...] = ()
    format: FormatOptions = field(default_factory=FormatOptions)
    workers: int | None = None


@dataclass
class Exported:
    """What became of the samples: `kept` files were there already, `failed` has a reason for each sample."""

    out: Path
    written: int = 0
    kept: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For people."""
        kept = f", {self.kept} there already" if self.kept else ""
        lines = [f"{self.out}: {self.written} written{kept}"]
        lines += [f"warning: {text} ({count} samples)" for text, count in self.warnings.most_common(MOST_SHOWN)]
        if len(self.warnings) > MOST_SHOWN:
            lines.append(f"and {len(self.warnings) - MOST_SHOWN} other warnings")
        return lines

    def require_all(self) -> None:
        """Raises FailedWorkError, naming them, when samples could not be exported."""
        if self.failed:
            shown = "; ".join(f"{key}: {reason}" for key, reason in islice(self.failed.items(), MOST_SHOWN))
            more = f"; and {len(self.failed) - MOST_SHOWN} more" if len(self.failed) > MOST_SHOWN else ""
            raise FailedWorkError(f"{len(self.failed)} samples were not exported: {shown}{more}")


def export(place: Path | str, name: str, out: Path, options: ExportOptions, console: Console) -> Exported:
    """Writes samples as files of one format; the same call again goes on where it was stopped.

    Args:
        place: a layered folder, ``DIR/KEY`` for one of its samples, a tar, a publication, or a run, whose publication
            is meant unless samples are chosen.
        name: of the format.
        out: the folder to write; for a single sample also the file.

    Raises:
        UserError: for whatever is wrong with the input; nothing is written then.
        FailedWorkError: when a worker dies.
    """
    file_format = format_of(name, options.format)
    folder, key = split_key(place)
    keys = (*options.keys, *([key] if key else ()))
    chosen = bool(keys or options.select)
    source = open_source(folder, whole_run=chosen)
    ids = chosen_ids(folder, source, options.select, keys)
    found = _Place(str(folder), chosen)
    exported = Exported(out)
    if not isinstance(file_format, SampleFormat):
        exported.warnings.update(file_format.write_set(_shown(source, ids, console), out))
        exported.written = len(ids)
        return exported
    if len(ids) == 1 and out.suffix == file_format.suffix:
        try:
            exported.warnings.update(_write(source, ids[0], file_format, out))
        except OSError as error:
            raise UserError(f"cannot write {out}: {error.strerror or error}") from error
        exported.written = 1
        return exported
    if (path := local_path(folder)) is not None and out.resolve() == path.resolve():
        raise UserError(f"{out} holds the samples themselves: give another folder with --output")
    with _claimed(out, {"format": name, **asdict(options.format), "source": identity(folder)}):
        to_do = [key for key in ids if not _is_written(out / f"{key}{file_format.suffix}", folder, key)]
        exported.kept = len(ids) - len(to_do)
        workers = min(options.workers or os.cpu_count() or 1, -(-len(to_do) // KEYS_PER_TASK))
        results = _results(_Task(found, name, options.format, out), source, to_do, workers)
        for key, outcome in _counted(results, len(to_do), console):
            if isinstance(outcome, _Failure):
                exported.failed[key] = outcome.reason
            else:
                exported.written += 1
                exported.warnings.update(outcome)
        if isinstance(file_format, SummedFormat):
            file_format.sum_up(out)
    return exported


def export_beside(folder: Path, names: Sequence[str], console: Console) -> list[str]:
    """Writes all samples of a layered folder in other formats too, each into the folder's own folder of that name.

    Returns:
        Lines for people.

    Raises:
        UserError, FailedWorkError: as `export`, and when a sample could not be exported.
    """
    lines = []
    for name in names:
        exported = export(folder, name, folder / name, ExportOptions(workers=1), console)
        exported.require_all()
        lines += exported.lines()
    return lines


@dataclass(frozen=True)
class _Place:
    """How another process finds the samples."""

    place: str
    whole_run: bool


@dataclass(frozen=True)
class _Task:
    """What every worker needs to know."""

    place: _Place
    format: str
    options: FormatOptions
    out: Path


@dataclass(frozen=True)
class _Failure:
    reason: str


_Outcome = Sequence[str] | _Failure
"""Warnings, or why there is no file."""


class _Worker:
    """Writes samples; one in each process."""

    def __init__(self, task: _Task, source: Source) -> None:
        self._source = source
        self._format = format_of(task.format, task.options)
        self._out = task.out

    def write(self, keys: Sequence[str]) -> list[tuple[str, _Outcome]]:
        return [(key, self._outcome(key)) for key in keys]

    def _outcome(self, key: str) -> _Outcome:
        assert isinstance(self._format, SampleFormat)
        try:
            return _write(self._source, key, self._format, self._out / f"{key}{self._format.suffix}")
        except UserError as error:
            return _Failure(str(error))


_worker: _Worker | None = None


def _start_worker(task: _Task) -> None:
    global _worker
    # Ctrl-C reaches every process of the terminal; the first one stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = _Worker(task, open_source(task.place.place, task.place.whole_run))


def _write_in_worker(keys: Sequence[str]) -> list[tuple[str, _Outcome]]:
    assert _worker is not None
    return _worker.write(keys)


def _results(task: _Task, source: Source, keys: Sequence[str], workers: int) -> Iterator[tuple[str, _Outcome]]:
    """The outcome for each sample, in whatever order they come."""
    parts = (keys[start : start + KEYS_PER_TASK] for start in range(0, len(keys), KEYS_PER_TASK))
    if workers <= 1:
        worker = _Worker(task, source)
        for part in parts:
            yield from worker.write(part)
        return
    # Spawned, not forked: the libraries below have threads of their own.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (task,))
    try:
        waiting: set[Future[list[tuple[str, _Outcome]]]] = set()
        for part in parts:
            waiting.add(pool.submit(_write_in_worker, part))
            # A few parts wait at any time, however many samples there are.
            while len(waiting) >= 2 * workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        for future in waiting:
            yield from future.result()
    except BrokenProcessPool as error:
        raise FailedWorkError(
            "a worker died, perhaps for want of memory: give fewer --workers; the same command goes on from here"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _write(source: Source, key: str, file_format: SampleFormat, target: Path) -> Sequence[str]:
    """Writes a sample's files beside, then gives them their names, the one that counts last."""
    image, sidecar = source.sample(key)
    beside = target.parent / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        warnings = file_format.write(image, sidecar, beside / target.name)
        for file in sorted(beside.iterdir(), key=lambda file: file.name == target.name):
            file.replace(target.parent / file.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return warnings


def _is_written(target: Path, source: Path | str, key: str) -> bool:
    return target.is_file() and target.stat().st_mtime >= changed_at(source, key)


@contextmanager
def _claimed(out: Path, state: dict[str, object]) -> Iterator[None]:
    """Keeps the folder for one export at a time, and for one source, format and options.

    Raises:
        UserError: when it holds something else, or another process is writing into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out / STATE_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"cannot write into {out}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{out} is being written by another export: wait for it to end") from error
        wanted = json.dumps(state).encode()
        found = os.pread(descriptor, len(wanted) + 1, 0)
        if found and found != wanted:
            raise UserError(f"{out} holds an export of something else, or in another way: give another folder")
        os.pwrite(descriptor, wanted, 0)
        for leftover in out.glob(".*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def _counted(results: Iterable[tuple[str, _Outcome]], total: int, console: Console) -> Iterator[tuple[str, _Outcome]]:
    """Passes results on and shows how far they are: a bar on a terminal, a line now and then elsewhere."""
    last_line = time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"{total} samples", total=total)
        for number, result in enumerate(results, start=1):
            yield result
            progress.advance(bar)
            if not console.is_terminal and time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                console.print(f"{number}/{total} samples", soft_wrap=True)


def _shown(source: Source, ids: Sequence[str], console: Console) -> Iterator[Sample]:
    """The samples one after the other, with a bar on a terminal."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for key in progress.track(ids, description=f"{len(ids)} samples"):
            yield source.sample(key)
