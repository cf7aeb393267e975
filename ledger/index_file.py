"""The stored index of a run: the rows of all commit records in one Parquet file, read a few thousand at a time.

A process works on a file of its own: the stored one kept open, where that is on the local disk and lacks nothing, or a
temporary one made of the stored one and the records it lacks. So nobody's rewriting of the stored index is noticed, and
memory does not grow with the run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ledger.commit import RECORD_SCHEMA, ChunkRevision
from ledger.storage import Storage
from shards.files import spooled

INDEX_FILE: Final = "index/records.parquet"
PLACE_FIELDS: Final = (pa.field("chunk", pa.int32()), pa.field("revision", pa.int32()), pa.field("tar", pa.string()))
INDEX_SCHEMA: Final = pa.schema([*RECORD_SCHEMA, *PLACE_FIELDS])
ROWS_AT_ONCE: Final = 2048
COMMITS_KEY: Final = b"layerprism.commits"

_BLOCKS_KEPT: Final = 3
"""Decoded; a retried sample's row stands near those of its chunk, in the same block or the next."""

Versions = Mapping[ChunkRevision, str]
"""Commits with the versions of their records, by chunk and revision."""


class IndexFile:
    """Rows of `INDEX_SCHEMA`, ordered by chunk and revision, in blocks."""

    def __init__(self, stream: BinaryIO, opened: contextlib.ExitStack) -> None:
        """Takes a seekable Parquet file, and what keeps it open. Raises OSError or ArrowException when it is none."""
        self._file = pq.ParquetFile(stream, pre_buffer=False)
        self._opened = opened
        groups = self._file.metadata
        sizes = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
        self._ends = np.cumsum(np.array(sizes, np.int64))
        self._blocks: OrderedDict[int, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows, as Parquet paths."""
        with self._lock:
            return self._file.read(list(names), use_threads=False)

    def rows(self, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[pa.Table]:
        """Rows by number, in the order given: as many at a time as stand in one block."""
        blocks = np.searchsorted(self._ends, numbers, side="right")
        starts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist()] if len(numbers) else []
        for start, end in itertools.pairwise([*starts, len(numbers)]):
            block = int(blocks[start])
            first = int(self._ends[block - 1]) if block else 0
            yield self._block(block).take(pa.array(numbers[start:end] - first))

    def _block(self, number: int) -> pa.Table:
        with self._lock:
            if number not in self._blocks:
                table = self._file.read_row_group(number, use_threads=False)
                self._blocks[number] = table.replace_schema_metadata(None).cast(INDEX_SCHEMA).combine_chunks()
                if len(self._blocks) > _BLOCKS_KEPT:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(number)
            return self._blocks[number]


def open_index(
    storage: Storage, versions: Versions, read_records: Callable[[Sequence[ChunkRevision]], Iterator[pa.Table]]
) -> IndexFile:
    """The index of all commits; the stored one is brought up to date, or stays old in a run that may only be read.

    Args:
        read_records: the records of some commits, each as one table of `INDEX_SCHEMA`, in their order.

    Raises:
        UserError: as `read_records`.
    """
    indexed = indexed_commits(storage)
    with contextlib.ExitStack() as opened:
        if indexed == versions:
            with contextlib.suppress(OSError, pa.ArrowException):
                stream = opened.enter_context(spooled(storage, INDEX_FILE))
                return IndexFile(stream, opened.pop_all())
        stream = cast(BinaryIO, opened.enter_context(tempfile.TemporaryFile(prefix="layerprism-")))
        known = indexed if indexed.items() <= versions.items() else {}
        try:
            _write(stream, versions, _merged(storage, versions, known, read_records))
        except pa.ArrowException:  # what is stored is damaged in its middle
            stream.seek(0)
            stream.truncate()
            _write(stream, versions, _merged(storage, versions, {}, read_records))
        if versions:
            with contextlib.suppress(OSError), storage.writing(INDEX_FILE) as stored:
                stream.seek(0)
                shutil.copyfileobj(stream, stored, 1 << 20)
        return IndexFile(stream, opened.pop_all())


def indexed_commits(storage: Storage) -> dict[ChunkRevision, str]:
    """The commits that the stored index covers, with their versions; none when it cannot be read."""
    try:
        with storage.open(INDEX_FILE) as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
            if file.schema_arrow.names != INDEX_SCHEMA.names:
                return {}
            commits = json.loads((file.schema_arrow.metadata or {})[COMMITS_KEY])
        return {ChunkRevision(chunk, revision): version for chunk, revision, version in commits}
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return {}


def stored_batches(storage: Storage, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of the stored index, as Parquet paths, with `PLACE_FIELDS`; a few thousand rows at a time."""
    paths = [*columns, *(field.name for field in PLACE_FIELDS)]
    with (
        spooled(storage, INDEX_FILE) as stream,
        pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20) as file,
    ):
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=paths, use_threads=False):
            yield pa.Table.from_batches([batch])


def _merged(
    storage: Storage,
    versions: Versions,
    known: Versions,
    read_records: Callable[[Sequence[ChunkRevision]], Iterator[pa.Table]],
) -> Iterator[pa.Table]:
    """The rows of all commits in order, from the stored index as far as it knows them and from the records else."""
    stored = _by_commit(stored_batches(storage, RECORD_SCHEMA.names)) if known else iter(())
    missing = read_records([commit for commit in versions if commit not in known])
    following = next(stored, None)
    for commit in versions:
        if commit not in known:
            yield next(missing)
        while following is not None and following[0] == (commit.chunk, commit.revision):
            yield following[1]
            following = next(stored, None)


def _by_commit(batches: Iterable[pa.Table]) -> Iterator[tuple[tuple[int, int], pa.Table]]:
    """Batches cut where the commit changes."""
    for batch in batches:
        places = zip(batch.column("chunk").to_pylist(), batch.column("revision").to_pylist(), strict=True)
        start = 0
        for place, group in itertools.groupby(places):
            length = sum(1 for _ in group)
            yield place, batch.slice(start, length)
            start += length


def _write(stream: BinaryIO, versions: Versions, tables: Iterable[pa.Table]) -> None:
    covered = json.dumps([[commit.chunk, commit.revision, version] for commit, version in versions.items()])
    schema = INDEX_SCHEMA.with_metadata({COMMITS_KEY: covered.encode()})
    # The writer closes what it is given by name only.
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        pending: list[pa.Table] = []
        for table in tables:
            pending.append(table.replace_schema_metadata(None).cast(INDEX_SCHEMA))
            if sum(map(len, pending)) >= ROWS_AT_ONCE:
                writer.write_table(pa.concat_tables(pending).combine_chunks().cast(schema))
                pending = []
        if pending:
            writer.write_table(pa.concat_tables(pending).combine_chunks().cast(schema))
