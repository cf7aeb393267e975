"""What dead writers left in an object store: tars that no commit record names, publications that were never finished.

A writer that was thought dead may still be about to name what it has uploaded. So nothing goes before it is older than
any writer waits (`GARBAGE_SECONDS`, by the clock of the store alone).
"""

from __future__ import annotations

from typing import Final

from ledger.commit import CHUNKS_FOLDER, ChunkRevision, tar_of
from ledger.index import read_record
from ledger.lease import LEASE_FOLDER
from ledger.storage import Storage
from shards.files import FileEntry

GARBAGE_SECONDS: Final = 4 * 3600.0
"""More than the longest patience that may be configured."""


def remove_unnamed_chunks(storage: Storage, older_than: float = GARBAGE_SECONDS) -> list[str]:
    """Removes the tars of tries that lost or died; returns their names. Only for the driver of a run.

    On a local disk there are none: each try has the same name there.

    Args:
        older_than: seconds.
    """
    if storage.is_local:
        return []
    entries = storage.entries(CHUNKS_FOLDER)
    tars: dict[ChunkRevision, list[str]] = {}
    for name in entries:
        if commit := ChunkRevision.of_tar(name):
            tars.setdefault(commit, []).append(name)
    now = store_time(storage)
    removed = []
    for commit, names in tars.items():
        old = [name for name in names if now - entries[name].modified > older_than]
        committed = commit.record in entries
        if not old or (committed and len(names) == 1):
            continue
        kept = tar_of(commit, read_record(storage, commit)) if committed else None
        removed += [name for name in old if name != kept]
    for name in removed:
        storage.remove(name)
    return removed


def store_time(storage: Storage) -> float:
    """What a driver can know of the time by the store's clock: when it was last told of a beat."""
    return newest(storage.entries(LEASE_FOLDER))


def newest(entries: dict[str, FileEntry]) -> float:
    """When the last of some files was written, in seconds since 1970; 0 when there is none."""
    return max((entry.modified for entry in entries.values()), default=0.0)
