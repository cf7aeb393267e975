"""All commit records of a run as one: which samples there are, where their bytes lie, what their scores are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from layered.codec import decode_members
from layered.errors import UserError
from layered.image import LayeredImage
from layered.scores import Score
from layered.sidecar import Sidecar
from ledger.commit import CHUNKS_FOLDER, RECORD_SCHEMA, ChunkRevision, Failure, tar_of
from ledger.index_file import PLACE_FIELDS, IndexFile, indexed_commits, open_index, stored_batches
from ledger.rescoring import read_rescored, rescored_files
from ledger.storage import Storage
from shards.parquet import read_parquet
from shards.tar import Member, is_sample_member, read_members

READ_AT_ONCE = 16
"""Records that are asked of an object store at the same time."""

_LONG_SCHEMA = pa.schema(
    [("sample_id", pa.string()), ("layer_index", pa.int32()), ("name", pa.string()), ("score", pa.float64())]
)


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

    Memory holds a few numbers of each sample; members, scores and features are read in blocks when they are asked for,
    fastest in the plan's order. Load it again to see later commits.
    """

    def __init__(self, storage: Storage, records: IndexFile) -> None:
        """Takes rows of all revisions, ordered by chunk and revision; see `load`."""
        self.storage = storage
        slim = records.columns(["sample_id", "layer_count", "failure.stage", "chunk"])
        # A dict keeps the place of a key's first insertion: a retried sample stays where its first revision stood.
        winners: dict[str, int] = {}
        for row, sample_id in enumerate(slim.column("sample_id").to_pylist()):
            winners[sample_id] = row
        self._records = records
        self._rows = np.fromiter(winners.values(), np.int64, len(winners))
        self._position = {sample_id: position for position, sample_id in enumerate(winners)}
        taken = slim.select(["layer_count", "failure", "chunk"]).take(pa.array(self._rows))
        self._failed = pc.is_valid(taken.column("failure")).to_numpy()
        self._layers, self._chunks = taken.column("layer_count").to_numpy(), taken.column("chunk").to_numpy()
        self._chunk_count = len(pc.unique(slim.column("chunk")))
        # Of the commit that was asked for last: a commit's samples stand side by side.
        self._rescored_kept: dict[ChunkRevision, list[pa.Table]] = {}

    @classmethod
    def load(cls, storage: Storage) -> RunIndex:
        """Reads the records of all commits, from the stored index where it already has them.

        The stored index is brought up to date; where that is impossible (a folder that may only be read) it stays old.
        """
        return cls(storage, open_index(storage, record_versions(storage), partial(_read_records, storage)))

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._position

    def __len__(self) -> int:
        return len(self._position)

    @property
    def sample_ids(self) -> list[str]:
        """Finished and failed samples, in the plan's order."""
        return list(self._position)

    def counts(self) -> RunCounts:
        failed = int(self._failed.sum())
        layers = int(self._layers[~self._failed].sum())
        return RunCounts(self._chunk_count, len(self) - failed, failed, layers)

    def record(self, sample_id: str) -> SampleRecord:
        """Raises KeyError for a sample that is not committed."""
        position = self._position[sample_id]
        (record,) = self._records_at(np.array([position]))
        return record

    def records(self) -> Iterator[SampleRecord]:
        """All samples, in the plan's order."""
        return self._records_at(np.arange(len(self)))

    def failures(self) -> dict[str, Failure]:
        """The samples whose newest revision failed, and why."""
        failed = self._records_at(np.flatnonzero(self._failed))
        return {record.sample_id: record.failure for record in failed if record.failure is not None}

    def failed_by_chunk(self) -> dict[int, list[str]]:
        """What a retry has to make again: chunk → failed samples, both in order."""
        sample_ids, by_chunk = self.sample_ids, dict[int, list[str]]()
        for position in np.flatnonzero(self._failed).tolist():
            by_chunk.setdefault(int(self._chunks[position]), []).append(sample_ids[position])
        return dict(sorted(by_chunk.items()))

    def score_batches(self) -> Iterator[pa.Table]:
        """All scores in long form, some samples at a time: sample_id, layer_index, name, score.

        Recomputed ones stand in place of older ones; ordered by sample, in the plan's order, then by layer and name.
        """
        for table in self._records.rows(self._rows):
            yield self._newest_scores(table)

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

    def _records_at(self, positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[SampleRecord]:
        for table in self._records.rows(self._rows[positions]):
            scores = self._newest_scores(table)
            of_sample: dict[str, list[Score]] = {}
            for row in zip(*(scores.column(name).to_pylist() for name in _LONG_SCHEMA.names), strict=True):
                of_sample.setdefault(row[0], []).append(Score(*row))
            for row in table.drop_columns(["scores"]).to_pylist():
                yield self._record(row, of_sample.get(row["sample_id"], ()))

    def _newest_scores(self, table: pa.Table) -> pa.Table:
        """The score rows of some records, recomputed ones in place of older ones; ordered as `score_batches` says."""
        tables = [_long_scores(table)]
        for commit, sample_ids in _samples_by_commit(table).items():
            current = pa.array(sample_ids, pa.string())
            for rescored in self._rescored(commit):
                tables.append(_long_scores(rescored.filter(pc.is_in(rescored.column("sample_id"), current))))
        rows = pa.concat_tables(tables)
        if len(tables) > 1:
            rows = rows.append_column("row", pa.array(np.arange(len(rows))))
            groups = rows.group_by(["sample_id", "layer_index", "name"], use_threads=False)
            rows = rows.take(groups.aggregate([("row", "max")]).column("row_max")).drop_columns(["row"])
        places = {sample_id: place for place, sample_id in enumerate(table.column("sample_id").to_pylist())}
        place = [places[sample_id] for sample_id in rows.column("sample_id").to_pylist()]
        rows = rows.append_column("place", pa.array(place, pa.int64()))
        order = [(name, "ascending") for name in ("place", "layer_index", "name")]
        return rows.take(pc.sort_indices(rows, order)).drop_columns(["place"])

    def _rescored(self, commit: ChunkRevision) -> list[pa.Table]:
        """What later passes say of a commit, oldest first."""
        names = self._rescored_files.get(commit)
        if not names:
            return []
        if commit not in self._rescored_kept:
            self._rescored_kept = {commit: [read_rescored(self.storage, name) for name in names]}
        return self._rescored_kept[commit]

    @cached_property
    def _rescored_files(self) -> dict[ChunkRevision, list[str]]:
        names: dict[ChunkRevision, list[str]] = {}
        for commit, name in rescored_files(self.storage):
            names.setdefault(commit, []).append(name)
        return names

    def _record(self, row: dict[str, Any], scores: Sequence[Score]) -> SampleRecord:
        commit = ChunkRevision(row["chunk"], row["revision"])
        sample_id = row["sample_id"]
        features = dict(row["features"])
        for table in self._rescored(commit):
            for found in table.filter(pc.equal(table.column("sample_id"), sample_id)).column("features").to_pylist():
                features.update(found)
        return SampleRecord(
            sample_id=sample_id,
            commit=commit,
            tar=row["tar"],
            style=row["style"],
            whole_caption=row["whole_caption"],
            layer_count=row["layer_count"],
            members=tuple(Member(**member) for member in row["members"]),
            scores=tuple(scores),
            features=features,
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
    indexed = indexed_commits(storage)
    if wanted & indexed.keys() and indexed.items() <= versions.items():
        for batch in stored_batches(storage, columns):
            commits = zip(batch.column("chunk").to_pylist(), batch.column("revision").to_pylist(), strict=True)
            mask = [ChunkRevision(chunk, revision) in wanted for chunk, revision in commits]
            yield batch.filter(pa.array(mask, pa.bool_()))
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


def read_each(
    storage: Storage, commits: Iterable[ChunkRevision], read: Callable[[Storage, ChunkRevision], pa.Table]
) -> Iterator[pa.Table]:
    """What `read` makes of each commit's record, in their order; several at a time where each takes a journey."""
    if storage.is_local:
        yield from (read(storage, commit) for commit in commits)
        return
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        yield from readers.map(partial(read, storage), commits)


def _read_records(storage: Storage, commits: Iterable[ChunkRevision]) -> Iterator[pa.Table]:
    return read_each(storage, commits, _read_record)


def _read_record(storage: Storage, commit: ChunkRevision) -> pa.Table:
    table = read_record(storage, commit)
    values = commit.chunk, commit.revision, tar_of(commit, table)
    table = table.replace_schema_metadata(None)
    for field, value in zip(PLACE_FIELDS, values, strict=True):
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
