"""Where the file of decisions may lie: on a disk of this machine that can be written."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from layered.errors import UserError
from ledger.decisions import DECISIONS_FOLDER
from ledger.run_directory import RunDirectory

STORE_FILE: Final = "review.sqlite"

_NETWORK_FILE_SYSTEMS: Final = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "lustre",
    "gpfs",
    "ceph",
    "beegfs",
    "glusterfs",
    "fuse",
)


def store_path(run: RunDirectory) -> Path:
    """``RUN/decisions/review.sqlite`` where that folder is on a local disk and may be written, otherwise, and for a
    run in an object store, a file of the run in the user's data folder.

    Raises:
        UserError: when neither can be written.
    """
    if run.storage.is_local and is_local(run.path):
        folder = run.path / DECISIONS_FOLDER
        if _may_write(folder):
            return folder / STORE_FILE
    return user_data_path(f"{run.fingerprint[:16]}.sqlite")


def user_data_path(name: str) -> Path:
    """A file of the review page in the user's data folder. Raises UserError where that is no place for SQLite."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "layerprism" / "review"
    if not _may_write(data):
        raise UserError(f"{data} cannot be written, and decisions need a place: set XDG_DATA_HOME")
    if not is_local(data):
        raise UserError(
            f"{data} is on a network file system, where SQLite loses data: set XDG_DATA_HOME to a local one"
        )
    return data / name


def is_local(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether a path lies on a disk of this machine, by the type of its file system; True where that is not told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    resolved = path.resolve()
    best, kind = -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].encode().decode("unicode_escape"))
        if (point == resolved or point in resolved.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2].lower()
    return not kind.startswith(_NETWORK_FILE_SYSTEMS) or kind == "fuseblk"


def _may_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}-{threading.get_ident()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True
