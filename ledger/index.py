"""All commit records of a run as one: which samples there are, where their bytes lie, what their scores are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layered.codec import decode_members
from layered.errors import UserError
from layered.image import LayeredImage
from layered.scores import Score
from layered.sidecar import Sidecar
from ledger.commit import CHUNKS_FOLDER, RECORD_SCHEMA, ChunkRevision, Failure, tar_of
from ledger.rescoring import rescored_tables
from ledger.storage import Storage
from shards.files import spooled
from shards.parquet import read_parquet
from shards.tar import Member, is_sample_member, read_members

INDEX_FILE = "index/records.parquet"
COMMITS_KEY = b"layerprism.commits"
_ROWS_AT_ONCE = 4096
READ_AT_ONCE = 16
"""Records that are asked of an object store at the same time."""

_PLACE_FIELDS = (pa.field("chunk", pa.int32()), pa.field("revision", pa.int32()), pa.field("tar", pa.string()))
_INDEX_SCHEMA = pa.schema([*RECORD_SCHEMA, *_PLACE_FIELDS])


@dataclass(frozen=True)
class SampleRecord:
    """What is known of one sample: its winning commit, the file its members lie in, its newest scores."""

    sample_id: str
    commit: ChunkRevision
    tar: str
    style: str
    whole_caption: str
    layer_count: int
    members: tuple[Member, ...]
    scores: tuple[Score, ...]
    features: Mapping[str, bytes]
    batch_shapes: Mapping[int, tuple[int, ...]]
    failure: Failure | None


@dataclass(frozen=True)
class RunCounts:
    """How far a run is: chunks committed, samples finished and failed, layers of finished samples."""

    chunks: int
    finished: int
    failed: int
    layers: int


class RunIndex:
    """The merged commit records. Per sample the highest revision wins; samples stand in the plan's order.

    Load it again to see later commits.
    """

    def __init__(self, storage: Storage, records: pa.Table) -> None:
        """Takes rows of all revisions, ordered by chunk and revision; see `load`."""
        self.storage = storage
        # A dict keeps the place of a key's first insertion: a retried sample stays where its first revision stood.
        winners: dict[str, int] = {}
        for row, sample_id in enumerate(records.column("sample_id").to_pylist()):
            winners[sample_id] = row
        if len(winners) < len(records):
            records = records.take(pa.array(winners.values(), pa.int64()))
        self._records = records.combine_chunks()
        self._position = {sample_id: position for position, sample_id in enumerate(winners)}
        self._chunk_count = len(pc.unique(records.column("chunk")))

    @classmethod
    def load(cls, storage: Storage) -> RunIndex:
        """Reads the records of all commits, from the stored index where it already has them.

        The stored index is brought up to date; where that is impossible (a folder that may only be read) it stays old.
        """
        versions = record_versions(storage)
        known, merged = _read_index(storage)
        if not merged.items() <= versions.items():
            known, merged = _INDEX_SCHEMA.empty_table(), {}
        missing = [commit for commit in versions if commit not in merged]
        if missing:
            known = pa.concat_tables([known, *_read_records(storage, missing)])
            known = known.take(pc.sort_indices(known, [("chunk", "ascending"), ("revision", "ascending")]))
            with contextlib.suppress(OSError):
                _write_index(storage, known, versions)
        return cls(storage, known)

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._position

    def __len__(self) -> int:
        return len(self._position)

    @property
    def sample_ids(self) -> list[str]:
        """Finished and failed samples, in the plan's order."""
        return list(self._position)

    def counts(self) -> RunCounts:
        finished = self._records.filter(pc.is_null(self._records.column("failure")))
        return RunCounts(
            chunks=self._chunk_count,
            finished=len(finished),
            failed=len(self._records) - len(finished),
            layers=pc.sum(finished.column("layer_count")).as_py() or 0,
        )

    def record(self, sample_id: str) -> SampleRecord:
        """Raises KeyError for a sample that is not committed."""
        position = self._position[sample_id]
        return self._record(position, self._records.slice(position, 1).to_pylist()[0])

    def records(self) -> Iterator[SampleRecord]:
        """All samples, in the plan's order."""
        start = 0
        for batch in self._records.to_batches(max_chunksize=1024):
            for offset, row in enumerate(batch.to_pylist()):
                yield self._record(start + offset, row)
            start += len(batch)

    def failures(self) -> dict[str, Failure]:
        """The samples whose newest revision failed, and why."""
        failed = self._records.filter(pc.is_valid(self._records.column("failure"))).select(["sample_id", "failure"])
        return {row["sample_id"]: Failure(**row["failure"]) for row in failed.to_pylist()}

    def failed_by_chunk(self) -> dict[int, list[str]]:
        """What a retry has to make again: chunk → failed samples, both in order."""
        failed = self._records.filter(pc.is_valid(self._records.column("failure"))).select(["sample_id", "chunk"])
        by_chunk: dict[int, list[str]] = {}
        for row in failed.to_pylist():
            by_chunk.setdefault(row["chunk"], []).append(row["sample_id"])
        return dict(sorted(by_chunk.items()))

    def score_rows(self) -> pa.Table:
        """All scores in long form: sample_id, layer_index, name, score; recomputed ones in place of older ones."""
        return self._scores.drop_columns(["position"])

    def sample_members(self, sample_id: str, names: Collection[str] | None = None) -> dict[str, bytes]:
        """A sample's members by byte range: those of the sample proper, or exactly those in `names` (raws, thumbnails).

        Raises:
            KeyError: for a sample that is not committed.
            ValueError: when the chunk is shorter than its record says.
        """
        record = self.record(sample_id)
        wanted = (
            [member for member in record.members if is_sample_member(member.name)] if names is None else record.members
        )
        with self.storage.open(record.tar) as stream:
            return read_members(stream, wanted, names)

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        """A finished sample, decoded. Raises KeyError or ValueError like `sample_members`."""
        return decode_members(self.sample_members(sample_id))

    @cached_property
    def _scores(self) -> pa.Table:
        """Score rows with the sample's `position`, ordered by position, layer and name."""
        tables = [_long_scores(self._records)]
        samples = _samples_by_commit(self._records)
        for commit, table in self._rescored:
            current = pa.array(samples.get(commit, ()), pa.string())
            tables.append(_long_scores(table.filter(pc.is_in(table.column("sample_id"), current))))
        rows = pa.concat_tables(tables)
        rows = rows.append_column("row", pa.array(np.arange(len(rows))))
        groups = rows.group_by(["sample_id", "layer_index", "name"], use_threads=False)
        rows = rows.take(groups.aggregate([("row", "max")]).column("row_max")).drop_columns(["row"])
        position = [self._position[sample_id] for sample_id in rows.column("sample_id").to_pylist()]
        rows = rows.append_column("position", pa.array(position, pa.int64()))
        order = [(name, "ascending") for name in ("position", "layer_index", "name")]
        return rows.take(pc.sort_indices(rows, order))

    @cached_property
    def _score_bounds(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Where the rows of each position begin in `_scores`; one more entry marks the end."""
        positions = self._scores.column("position").to_numpy()
        return np.searchsorted(positions, np.arange(len(self) + 1))

    @cached_property
    def _rescored(self) -> list[tuple[ChunkRevision, pa.Table]]:
        return rescored_tables(self.storage)

    @cached_property
    def _rescored_features(self) -> dict[tuple[ChunkRevision, str], dict[str, bytes]]:
        features: dict[tuple[ChunkRevision, str], dict[str, bytes]] = {}
        for commit, table in self._rescored:
            for row in table.select(["sample_id", "features"]).to_pylist():
                features.setdefault((commit, row["sample_id"]), {}).update(row["features"])
        return features

    def _record(self, position: int, row: dict[str, Any]) -> SampleRecord:
        commit = ChunkRevision(row["chunk"], row["revision"])
        sample_id = row["sample_id"]
        begin, end = self._score_bounds[position : position + 2]
        scores = self._scores.slice(begin, end - begin)
        columns = (scores.column(name).to_pylist() for name in ("layer_index", "name", "score"))
        return SampleRecord(
            sample_id=sample_id,
            commit=commit,
            tar=row["tar"],
            style=row["style"],
            whole_caption=row["whole_caption"],
            layer_count=row["layer_count"],
            members=tuple(Member(**member) for member in row["members"]),
            scores=tuple(Score(sample_id, *values) for values in zip(*columns, strict=True)),
            features={**dict(row["features"]), **self._rescored_features.get((commit, sample_id), {})},
            batch_shapes={entry["layer_index"]: tuple(entry["shape"]) for entry in row["batch_shapes"]},
            failure=Failure(**row["failure"]) if row["failure"] else None,
        )


def record_batches(
    storage: Storage, columns: Sequence[str], known: Collection[ChunkRevision] = ()
) -> Iterator[pa.Table]:
    """The rows of all commits but the known ones with `chunk`, `revision` and `tar`, a few thousand at a time.

    They come from the stored index as far as that has them, and from the commit records else. The rows of a commit
    stand side by side.

    Args:
        columns: of `RECORD_SCHEMA`, as Parquet paths: a part of a nested column is ``members.list.element.name``.

    Raises:
        UserError: when a record is damaged.
    """
    versions = record_versions(storage)
    wanted = versions.keys() - set(known)
    indexed = _indexed_commits(storage)
    if wanted & indexed.keys() and indexed.items() <= versions.items():
        paths = [*columns, *(field.name for field in _PLACE_FIELDS)]
        with (
            spooled(storage, INDEX_FILE) as stream,
            pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20) as file,
        ):
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=paths, use_threads=False):
                commits = zip(batch.column("chunk").to_pylist(), batch.column("revision").to_pylist(), strict=True)
                mask = [ChunkRevision(chunk, revision) in wanted for chunk, revision in commits]
                yield pa.Table.from_batches([batch]).filter(pa.array(mask, pa.bool_()))
        wanted -= indexed.keys()
    yield from _read_records(storage, sorted(wanted, key=lambda commit: (commit.chunk, commit.revision)))


def read_record(storage: Storage, commit: ChunkRevision) -> pa.Table:
    """One commit record, rows of `RECORD_SCHEMA` with `tar_of` its metadata. Raises UserError for a damaged file."""
    try:
        table = read_parquet(BytesIO(storage.read(commit.record)))
        return table.cast(RECORD_SCHEMA.with_metadata(table.schema.metadata))
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{storage.describe(commit.record)} is damaged ({error}): remove it to have the chunk made again"
        ) from error


def record_versions(storage: Storage) -> dict[ChunkRevision, str]:
    """All commits by chunk and revision, with the versions of their records, from one listing.

    A damaged chunk may have been removed and made again under its old name: the version tells.
    """
    entries = ((ChunkRevision.of_file(name), entry) for name, entry in storage.entries(CHUNKS_FOLDER).items())
    found = [(commit, entry.version) for commit, entry in entries if commit is not None]
    return dict(sorted(found, key=lambda pair: (pair[0].chunk, pair[0].revision)))


def _read_records(storage: Storage, commits: Iterable[ChunkRevision]) -> Iterator[pa.Table]:
    """The records of some commits in their order, several at a time where each takes a journey."""
    if storage.is_local:
        yield from (_read_record(storage, commit) for commit in commits)
        return
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        yield from readers.map(partial(_read_record, storage), commits)


def _read_record(storage: Storage, commit: ChunkRevision) -> pa.Table:
    table = read_record(storage, commit)
    values = commit.chunk, commit.revision, tar_of(commit, table)
    table = table.replace_schema_metadata(None)
    for field, value in zip(_PLACE_FIELDS, values, strict=True):
        table = table.append_column(field, pa.array([value] * len(table), field.type))
    return table


def _long_scores(table: pa.Table) -> pa.Table:
    """Nested score lists as rows of sample_id, layer_index, name, score."""
    lists = table.column("scores").combine_chunks()
    rows = pc.list_flatten(lists)
    sample_ids = table.column("sample_id").take(pc.list_parent_indices(lists))
    columns = {name: pc.struct_field(rows, name) for name in ("layer_index", "name", "score")}
    return pa.table({"sample_id": sample_ids, **columns})


def _samples_by_commit(records: pa.Table) -> dict[ChunkRevision, list[str]]:
    by_commit: dict[ChunkRevision, list[str]] = {}
    columns = (records.column(name).to_pylist() for name in ("chunk", "revision", "sample_id"))
    for chunk, revision, sample_id in zip(*columns, strict=True):
        by_commit.setdefault(ChunkRevision(chunk, revision), []).append(sample_id)
    return by_commit


def _read_index(storage: Storage) -> tuple[pa.Table, dict[ChunkRevision, str]]:
    """The stored index and the commits it covers, with their versions; empty when there is none that can be read."""
    try:
        with spooled(storage, INDEX_FILE) as stream:
            table = read_parquet(stream)
        commits = json.loads((table.schema.metadata or {})[COMMITS_KEY])
        covered = {ChunkRevision(chunk, revision): version for chunk, revision, version in commits}
        return table.cast(_INDEX_SCHEMA), covered
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return _INDEX_SCHEMA.empty_table(), {}


def _indexed_commits(storage: Storage) -> dict[ChunkRevision, str]:
    """The commits that the stored index covers, with their versions; none when it cannot be read."""
    try:
        with storage.open(INDEX_FILE) as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
            commits = json.loads((file.schema_arrow.metadata or {})[COMMITS_KEY])
        return {ChunkRevision(chunk, revision): version for chunk, revision, version in commits}
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return {}


def _write_index(storage: Storage, records: pa.Table, versions: Mapping[ChunkRevision, str]) -> None:
    covered = json.dumps([[commit.chunk, commit.revision, version] for commit, version in versions.items()])
    with storage.writing(INDEX_FILE) as stream:
        table = records.replace_schema_metadata({COMMITS_KEY: covered.encode()})
        pq.write_table(table, stream, compression="zstd", row_group_size=_ROWS_AT_ONCE)
