"""How far a run is, from a small table beside its commit records: what `layerprism status` needs of each sample.

The table is rebuildable and kept up to date by whoever looks: rows of commits that it lacks come from their records. Of
200,000 samples it is two megabytes, where the records are hundreds.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layered.errors import UserError
from ledger.commit import ChunkRevision
from ledger.index import RunCounts, read_each, record_versions
from ledger.index_file import COMMITS_KEY
from ledger.storage import Storage
from shards.parquet import read_parquet

SUMMARY_FILE: Final = "index/summary.parquet"

_SCHEMA: Final = pa.schema(
    [
        ("sample_id", pa.string()),
        ("layer_count", pa.int32()),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("chunk", pa.int32()),
        ("revision", pa.int32()),
    ]
)
"""One row per sample of a commit, ordered by chunk and revision; `stage` and `error` are null for a finished one."""

_RECORD_COLUMNS: Final = ("sample_id", "layer_count", "failure.stage", "failure.error")


@dataclass(frozen=True)
class FailedSample:
    """A sample whose newest revision failed: in which stage, and why."""

    sample_id: str
    stage: str
    error: str


class RunSummary:
    """The samples of all commits, without scores and members; per sample the highest revision wins."""

    def __init__(self, rows: pa.Table) -> None:
        """Takes rows of `_SCHEMA` of all revisions; see `load`."""
        self._chunk_count = len(pc.unique(rows.column("chunk")))
        if pc.max(rows.column("revision")).as_py():
            winners = {sample_id: row for row, sample_id in enumerate(rows.column("sample_id").to_pylist())}
            rows = rows.take(pa.array(winners.values(), pa.int64()))
        self._rows = rows

    @classmethod
    def load(cls, storage: Storage) -> RunSummary:
        """Reads what is stored and the commits since then. Raises UserError when a record is damaged."""
        return cls(_up_to_date(storage))

    def counts(self) -> RunCounts:
        """Chunks committed, samples finished and failed, layers of finished samples."""
        finished = self._rows.filter(pc.is_null(self._rows.column("stage")))
        return RunCounts(
            chunks=self._chunk_count,
            finished=len(finished),
            failed=len(self._rows) - len(finished),
            layers=pc.sum(finished.column("layer_count")).as_py() or 0,
        )

    def failures(self) -> list[FailedSample]:
        """The failed samples, in the plan's order."""
        failed = self._rows.filter(pc.is_valid(self._rows.column("stage"))).select(["sample_id", "stage", "error"])
        return [FailedSample(**row) for row in failed.to_pylist()]


def refresh_summary(storage: Storage) -> None:
    """Brings the stored table up to date, so that whoever looks next finds little to read."""
    _up_to_date(storage)


def _up_to_date(storage: Storage) -> pa.Table:
    versions = record_versions(storage)
    rows, known = _stored(storage)
    if not known.items() <= versions.items():  # a damaged chunk was removed, and perhaps made again
        rows, known = _SCHEMA.empty_table(), {}
    missing = [commit for commit in versions if commit not in known]
    if missing:
        rows = pa.concat_tables([rows, *read_each(storage, missing, _read_record)])
        rows = rows.take(pc.sort_indices(rows, [("chunk", "ascending"), ("revision", "ascending")]))
        with contextlib.suppress(OSError):  # a run that may only be read
            _store(storage, rows, versions)
    return rows


def _stored(storage: Storage) -> tuple[pa.Table, dict[ChunkRevision, str]]:
    """The stored rows, and the versions of the commits they are of; nothing where they cannot be read."""
    try:
        table = read_parquet(BytesIO(storage.read(SUMMARY_FILE)))
        commits = json.loads((table.schema.metadata or {})[COMMITS_KEY])
        known = {ChunkRevision(chunk, revision): version for chunk, revision, version in commits}
        return table.replace_schema_metadata(None).cast(_SCHEMA), known
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return _SCHEMA.empty_table(), {}


def _store(storage: Storage, rows: pa.Table, versions: Mapping[ChunkRevision, str]) -> None:
    commits = json.dumps([[commit.chunk, commit.revision, version] for commit, version in versions.items()])
    stream = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata({COMMITS_KEY: commits.encode()}), stream, compression="zstd")
    storage.write(SUMMARY_FILE, stream.getvalue().to_pybytes(), durable=False)


def _read_record(storage: Storage, commit: ChunkRevision) -> pa.Table:
    try:
        table = read_parquet(BytesIO(storage.read(commit.record)), _RECORD_COLUMNS)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{storage.describe(commit.record)} is damaged ({error}): remove it to have the chunk made again"
        ) from error
    failure = table.column("failure")
    columns = [
        table.column("sample_id"),
        table.column("layer_count"),
        pc.struct_field(failure, "stage"),
        pc.struct_field(failure, "error"),
        pa.array([commit.chunk] * len(table), pa.int32()),
        pa.array([commit.revision] * len(table), pa.int32()),
    ]
    return pa.table(columns, schema=_SCHEMA)
