"""The stage that writes a chunk: whoever holds the encoded samples commits them, so they never visit the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from layered.brief import Brief
from ledger.commit import ChunkRevision, ChunkSample, Failure, write_chunk
from ledger.storage import Storage
from stages.stage import Failed, Stage


@dataclass(frozen=True, eq=False)
class CommitEntry:
    """One sample of a commit.

    Attributes:
        brief: what was asked for; None for an imported sample.
        packed: a handle of the encoded sample; in the worker the `ChunkSample`, or why there is none.
        inputs: what a failed stage was given, as JSON.
    """

    sample_id: str
    brief: Brief | None
    packed: Any
    inputs: str = "{}"


@dataclass(frozen=True, eq=False)
class Commit:
    """All samples of a chunk, or of a retry of some, in plan order."""

    revision: ChunkRevision
    entries: tuple[CommitEntry, ...]

    @property
    def sample_id(self) -> str:
        return f"chunk {self.revision.name}"


@dataclass(frozen=True)
class Committed:
    """What a commit holds: finished samples with their layers, and failed ones."""

    revision: ChunkRevision
    finished: int
    layers: int
    failures: tuple[tuple[str, Failure], ...]


class Committing(Stage[Commit, Committed]):
    """Writes chunks into a run directory; a commit that is there already is left as it is."""

    name = "committing"

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def process(self, batch: Sequence[Commit]) -> list[Committed | Failed]:
        """Commits each chunk in turn. Raises OSError when the disk is full or gone."""
        return [self._commit(commit) for commit in batch]

    def _commit(self, commit: Commit) -> Committed:
        samples = [self._sample(entry) for entry in commit.entries]
        write_chunk(self._storage, commit.revision, samples)
        finished = [sample for sample in samples if sample.failure is None]
        failures = tuple((sample.sample_id, sample.failure) for sample in samples if sample.failure is not None)
        return Committed(commit.revision, len(finished), sum(sample.layer_count for sample in finished), failures)

    def _sample(self, entry: CommitEntry) -> ChunkSample:
        if not isinstance(entry.packed, Failed):
            sample: ChunkSample = entry.packed
            return sample
        failed, brief = entry.packed, entry.brief
        return ChunkSample(
            entry.sample_id,
            style=brief.style if brief else "",
            whole_caption=brief.whole_caption if brief else "",
            layer_count=len(brief.layers) if brief else 0,
            failure=Failure(failed.stage, failed.layer_index, failed.error, failed.traceback, entry.inputs),
        )
