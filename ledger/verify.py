"""Verification of a whole run: every chunk, and the current publication."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from layered.errors import UserError
from ledger.commit import ChunkRevision, committed
from ledger.index import read_record
from ledger.run_directory import SHARDS_FOLDER, RunDirectory
from ledger.storage import LocalStorage
from shards.tar import Member
from shards.verify import Problem, verify_publication, verify_tar


def verify_run(path: Path) -> list[Problem]:
    """Checks every member of every chunk against its commit record, and every sample against its sidecar.

    Returns:
        The problems, chunks first; none for an intact run. Files are named relative to the run.

    Raises:
        UserError: when the folder is no run.
    """
    run = RunDirectory.open(path)
    problems = [problem for commit in committed(run.storage) for problem in verify_chunk(run.storage, commit)]
    if (path / SHARDS_FOLDER).exists():
        problems += [
            Problem(f"{SHARDS_FOLDER}/{problem.file}", problem.sample_id, problem.member, problem.message)
            for problem in verify_publication(path / SHARDS_FOLDER)
        ]
    return problems


def verify_chunk(storage: LocalStorage, commit: ChunkRevision) -> list[Problem]:
    """Checks one commit; see `verify_run`."""
    try:
        samples = dict(_placed_members(storage, commit))
    except UserError as error:
        return [Problem(commit.record, "", "", str(error))]
    if not storage.exists(commit.tar):
        return [Problem(commit.tar, sample_id, "", "is missing") for sample_id in samples]
    return verify_tar(storage.path(commit.tar), commit.tar, samples)


def _placed_members(storage: LocalStorage, commit: ChunkRevision) -> Iterator[tuple[str, tuple[Member, ...]]]:
    for row in read_record(storage, commit).select(["sample_id", "members"]).to_pylist():
        yield row["sample_id"], tuple(Member(**member) for member in row["members"])
