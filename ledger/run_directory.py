"""The run directory: its names, its identity, its one driver."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from layered.errors import UserError
from ledger.fenced import FencedStorage
from ledger.lease import LEASE_FOLDER, Fence, held, last_driver
from ledger.object_storage import PROBE_FOLDER, ObjectStorage
from ledger.storage import LocalStorage, Storage, open_storage
from shards.files import open_files
from shards.parquet import read_parquet
from shards.patience import DEFAULT_PATIENCE_SECONDS

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


@dataclass(frozen=True, eq=False)
class RunDirectory:
    """An existing run.

    Attributes:
        storage: its files. While the run is driven (`driving`), writing to it is refused as soon as somebody else
            drives.
        info: the content of ``run.json``; `FINGERPRINT` and `FINGERPRINT_PARTS` are always there.
    """

    storage: FencedStorage
    info: Mapping[str, Any]

    @classmethod
    def create(
        cls,
        place: Path | str,
        info: Mapping[str, Any],
        plan: bytes,
        patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
    ) -> RunDirectory:
        """Makes a new run in a new or empty folder. ``run.json`` is written last: without it there is no run.

        Args:
            place: the folder, or its URL.
            info: what ``run.json`` will hold; `FINGERPRINT` (text) and `FINGERPRINT_PARTS` (what it was made of) must
                be among it.
            plan: the bytes of ``plan.parquet``.
            patience_seconds: how long a store that does not answer is waited for.

        Raises:
            UserError: when the folder holds a run already, or anything else; when it cannot be written; when it is in a
                store without conditional writes, or somebody else is making a run there.
        """
        storage = open_storage(place, patience_seconds)
        _require_room(storage)
        try:
            with _claimed(storage):
                storage.write(PLAN_FILE, plan)
                if not storage.create(RUN_FILE, _encode(info)):
                    raise UserError(f"{storage.place} holds a run already: choose another folder")
        except OSError as error:
            raise UserError(f"cannot write a run to {storage.place}: {error.strerror or error}") from error
        return cls.open(place, patience_seconds)

    @classmethod
    def open(cls, place: Path | str, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> RunDirectory:
        """Opens an existing run. Raises UserError when the folder is none."""
        storage = open_storage(place, patience_seconds)
        if isinstance(storage, LocalStorage) and not storage.root.is_dir():
            raise UserError(f"{place} is not a folder: give the folder of a run")
        try:
            info = json.loads(storage.read(RUN_FILE))
        except FileNotFoundError as error:
            raise UserError(f"{place} is not a run: it has no {RUN_FILE}") from error
        except PermissionError as error:
            reason = error.strerror or error
            raise UserError(f"{storage.describe(RUN_FILE)} may not be read: {reason}") from error
        except (OSError, ValueError) as error:
            raise UserError(
                f"{storage.describe(RUN_FILE)} cannot be read ({error}): restore it, or start a new run"
            ) from error
        if not isinstance(info, dict) or not isinstance(info.get(FINGERPRINT), str):
            raise UserError(
                f"{storage.describe(RUN_FILE)} is incomplete, it has no fingerprint: restore it, or start a new run"
            )
        if not storage.exists(PLAN_FILE):
            raise UserError(f"{place} has lost its {PLAN_FILE}: restore it, or start a new run")
        return cls(FencedStorage(storage), {FINGERPRINT_PARTS: {}, **info})

    @property
    def place(self) -> str:
        """The folder or its URL, for messages and commands."""
        return self.storage.place

    @property
    def path(self) -> Path:
        """The folder of a run on the local disk. Raises ValueError for a run in a store."""
        if not isinstance(self.storage.inner, LocalStorage):
            raise ValueError(f"{self.place} is not on the local disk")
        return self.storage.inner.root

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
            f"{self.place} is another run: {shown or 'its fingerprint differs'}. "
            "Undo the change, or choose another folder with --out"
        )

    def extend(self, info: Mapping[str, Any], plan: bytes) -> RunDirectory:
        """Replaces plan and ``run.json`` by larger ones of the same fingerprint."""
        self.require_fingerprint(str(info[FINGERPRINT]), info[FINGERPRINT_PARTS])
        self.storage.write(PLAN_FILE, plan)
        return self.replace_info(info)

    def replace_info(self, info: Mapping[str, Any]) -> RunDirectory:
        """Replaces ``run.json``, fingerprint included: for what is made again from stored drawings."""
        self.storage.write(RUN_FILE, _encode(info))
        return replace(self, info={FINGERPRINT_PARTS: {}, **json.loads(_encode(info))})

    def read_plan(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of ``plan.parquet``, or some columns of them. Raises UserError when the file is damaged."""
        try:
            with self.storage.open(PLAN_FILE) as stream:
                return read_parquet(stream, columns)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{self.storage.describe(PLAN_FILE)} cannot be read ({error}): start a new run") from error

    def planned_samples(self) -> list[PlannedSample]:
        """All samples of the plan, in its order."""
        table = self.read_plan(["sample_id", "split"])
        columns = table.column("sample_id").to_pylist(), table.column("split").to_pylist()
        return [PlannedSample(sample_id, split) for sample_id, split in zip(*columns, strict=True)]

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Holds the run for one driver at a time; the hold ends with the block, and with the process soon after it.

        Raises:
            UserError: when another process drives the run; it is named. When the run is in a store without conditional
                writes.
        """
        with _claimed(self.storage.inner) as fence:
            self.storage.fence = fence
            try:
                self.storage.remove_temporary()
                yield
            finally:
                self.storage.fence = None


def is_run(place: Path | str) -> bool:
    """Whether a place holds a run."""
    return open_files(place).exists(RUN_FILE)


def _require_room(storage: Storage) -> None:
    """Raises UserError unless a run may be made there."""
    if storage.exists(RUN_FILE):
        raise UserError(f"{storage.place} holds a run already: choose another folder")
    # A creation that was interrupted leaves these; anything else belongs to somebody.
    own = {PLAN_FILE, LEASE_FOLDER, PROBE_FOLDER}
    if strangers := [name for name in (*storage.list(""), *storage.folders()) if name not in own]:
        raise UserError(
            f"{storage.place} is not a run and not empty (it holds {min(strangers)}): choose another folder"
        )


@contextmanager
def _claimed(storage: Storage) -> Iterator[Fence]:
    """The lease of a run, and on a local disk its lock too, which ends with the process. Raises UserError."""
    if isinstance(storage, LocalStorage):
        # Whoever has the lock knows that no other process of this host has it.
        with _locked(storage), held(storage, lambda driver: driver.host == socket.gethostname()) as fence:
            yield fence
        return
    if isinstance(storage, ObjectStorage):
        storage.probe()
    with held(storage) as fence:
        yield fence


@contextmanager
def _locked(storage: LocalStorage) -> Iterator[None]:
    storage.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(storage.path(LOCK_FILE), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            driver = last_driver(storage)
            holder = str(driver) if driver and str(driver.pid) == pid else f"process {pid or 'unknown'}"
            raise UserError(f"{storage.place} is being driven by {holder}: wait for it to end, or stop it") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
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
