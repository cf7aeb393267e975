"""Verification of a whole run: every chunk, and the current publication."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from layered.errors import UserError
from ledger.commit import ChunkRevision, committed, tar_of
from ledger.index import read_record
from ledger.run_directory import SHARDS_FOLDER, RunDirectory
from ledger.storage import Storage
from shards.files import join_place
from shards.reader import current_folder
from shards.tar import Member
from shards.verify import Problem, verify_publication, verify_tar


def verify_run(place: Path | str) -> list[Problem]:
    """Checks every member of every chunk against its commit record, and every sample against its sidecar.

    Returns:
        The problems, chunks first; none for an intact run. Files are named relative to the run.

    Raises:
        UserError: when the folder is no run.
    """
    run = RunDirectory.open(place)
    problems = [problem for commit in committed(run.storage) for problem in verify_chunk(run.storage, commit)]
    current = current_folder(run.storage, SHARDS_FOLDER)
    if current is not None:
        problems += [
            Problem(f"{current}/{problem.file}", problem.sample_id, problem.member, problem.message)
            for problem in verify_publication(join_place(run.place, current))
        ]
    return problems


def verify_chunk(storage: Storage, commit: ChunkRevision) -> list[Problem]:
    """Checks one commit; see `verify_run`."""
    try:
        record = read_record(storage, commit)
    except UserError as error:
        return [Problem(commit.record, "", "", str(error))]
    tar, samples = tar_of(commit, record), dict(_placed_members(record))
    if not storage.exists(tar):
        return [Problem(tar, sample_id, "", "is missing") for sample_id in samples]
    return verify_tar(storage, tar, samples)


def _placed_members(record: pa.Table) -> Iterator[tuple[str, tuple[Member, ...]]]:
    for row in record.select(["sample_id", "members"]).to_pylist():
        yield row["sample_id"], tuple(Member(**member) for member in row["members"])
