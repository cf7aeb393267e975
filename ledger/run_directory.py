"""The run directory: its names, its identity, its one driver."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from layered.errors import UserError
from ledger.storage import LocalStorage
from shards.parquet import read_parquet

RUN_FILE = "run.json"
PLAN_FILE = "plan.parquet"
LOCK_FILE = ".lock"
REPORT_FOLDER = "report"
TIMINGS_FOLDER = "timings"
SHARDS_FOLDER = "shards"

FINGERPRINT = "fingerprint"
FINGERPRINT_PARTS = "fingerprint_parts"
IMPORTED = "imported"
"""In the ``run.json`` of samples that were made elsewhere: what they were imported from."""


@dataclass(frozen=True)
class PlannedSample:
    """What the ledger needs to know of a planned sample. `split` is ``train`` or ``val``."""

    sample_id: str
    split: str


@dataclass(frozen=True)
class RunDirectory:
    """An existing run.

    Attributes:
        path: the folder.
        info: the content of ``run.json``; `FINGERPRINT` and `FINGERPRINT_PARTS` are always there.
    """

    path: Path
    info: Mapping[str, Any]

    @classmethod
    def create(cls, path: Path, info: Mapping[str, Any], plan: bytes) -> RunDirectory:
        """Makes a new run in a new or empty folder. ``run.json`` is written last: without it there is no run.

        Args:
            path: the folder.
            info: what ``run.json`` will hold; `FINGERPRINT` (text) and `FINGERPRINT_PARTS` (what it was made of) must
                be among it.
            plan: the bytes of ``plan.parquet``.

        Raises:
            UserError: when the folder holds a run already, or anything else.
        """
        if (path / RUN_FILE).exists():
            raise UserError(f"{path} holds a run already: choose another folder")
        # A creation that was interrupted leaves these; anything else belongs to somebody.
        strangers = [
            entry.name
            for entry in (path.iterdir() if path.is_dir() else ())
            if entry.name != PLAN_FILE and not entry.name.startswith(".")
        ]
        if strangers:
            raise UserError(f"{path} is not a run and not empty (it holds {min(strangers)}): choose another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
            storage = LocalStorage(path)
            storage.write(PLAN_FILE, plan)
            storage.write(RUN_FILE, _encode(info))
        except OSError as error:
            raise UserError(f"cannot write a run to {path}: {error.strerror or error}") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Opens an existing run. Raises UserError when the folder is none."""
        if not path.is_dir():
            raise UserError(f"{path} is not a folder: give the folder of a run")
        try:
            info = json.loads((path / RUN_FILE).read_bytes())
        except FileNotFoundError as error:
            raise UserError(f"{path} is not a run: it has no {RUN_FILE}") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path / RUN_FILE} cannot be read ({error}): restore it, or start a new run") from error
        if not isinstance(info, dict) or not isinstance(info.get(FINGERPRINT), str):
            raise UserError(f"{path / RUN_FILE} is incomplete, it has no fingerprint: restore it, or start a new run")
        if not (path / PLAN_FILE).is_file():
            raise UserError(f"{path} has lost its {PLAN_FILE}: restore it, or start a new run")
        return cls(path, {FINGERPRINT_PARTS: {}, **info})

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.path)

    @property
    def fingerprint(self) -> str:
        return str(self.info[FINGERPRINT])

    @property
    def imported(self) -> Mapping[str, str] | None:
        """What the run's samples were imported from; None for a run that draws its samples."""
        return self.info.get(IMPORTED)

    def require_fingerprint(self, fingerprint: str, parts: Mapping[str, Any]) -> None:
        """Raises UserError, naming what differs, unless the run was made with this fingerprint."""
        if fingerprint == self.fingerprint:
            return
        asked = json.loads(_encode(parts))  # run.json knows lists, not tuples
        differences = fingerprint_differences(self.info[FINGERPRINT_PARTS], asked)
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise UserError(
            f"{self.path} is another run: {shown or 'its fingerprint differs'}. "
            "Undo the change, or choose another folder with --out"
        )

    def extend(self, info: Mapping[str, Any], plan: bytes) -> RunDirectory:
        """Replaces plan and ``run.json`` by larger ones of the same fingerprint."""
        self.require_fingerprint(str(info[FINGERPRINT]), info[FINGERPRINT_PARTS])
        self.storage.write(PLAN_FILE, plan)
        self.storage.write(RUN_FILE, _encode(info))
        return RunDirectory.open(self.path)

    def replace_info(self, info: Mapping[str, Any]) -> RunDirectory:
        """Replaces ``run.json``, fingerprint included: for what is made again from stored drawings."""
        self.storage.write(RUN_FILE, _encode(info))
        return RunDirectory.open(self.path)

    def planned_samples(self) -> list[PlannedSample]:
        """All samples of the plan, in its order."""
        try:
            table = read_parquet(self.path / PLAN_FILE, ["sample_id", "split"])
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{self.path / PLAN_FILE} cannot be read ({error}): start a new run") from error
        columns = table.column("sample_id").to_pylist(), table.column("split").to_pylist()
        return [PlannedSample(sample_id, split) for sample_id, split in zip(*columns, strict=True)]

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Holds the run for one driver at a time; the hold ends with the block or with the process.

        Raises:
            UserError: when another process drives the run; its process id is named.
        """
        descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                _lock(descriptor)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise UserError(
                    f"{self.path} is being driven by process {holder}: wait for it to end, or stop it"
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self.storage.remove_temporary()
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Takes the driver's lock. `status` holds a shared one for an instant to see whether anybody drives: try twice.

    Raises:
        BlockingIOError: when somebody else keeps it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.05)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def fingerprint_differences(here: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two nested mappings, a line each: ``layer_flux.steps is 20 there, 4 here``."""
    lines = []
    for key in sorted({*here, *asked}):
        name = f"{prefix}{key}"
        if key not in here:
            lines.append(f"{name} is unset there, {_shown(asked[key])} here")
        elif key not in asked:
            lines.append(f"{name} is {_shown(here[key])} there, unset here")
        elif isinstance(here[key], Mapping) and isinstance(asked[key], Mapping):
            lines += fingerprint_differences(here[key], asked[key], f"{name}.")
        elif here[key] != asked[key]:
            lines.append(f"{name} is {_shown(here[key])} there, {_shown(asked[key])} here")
    return lines


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "…"


def _encode(info: Mapping[str, Any]) -> bytes:
    return (json.dumps(info, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
