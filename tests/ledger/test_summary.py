"""The small table for status: it says what the index says, and reads each record once."""

from pathlib import Path

import pytest

from layered.errors import UserError
from ledger.commit import ChunkRevision, write_chunk
from ledger.index import RunIndex
from ledger.storage import LocalStorage
from ledger.summary import SUMMARY_FILE, FailedSample, RunSummary, refresh_summary
from tests.ledger.runs import chunk_sample, failed_sample, sample_id


def said(storage: LocalStorage) -> tuple[object, list[FailedSample]]:
    summary = RunSummary.load(storage)
    return summary.counts(), summary.failures()


def indexed(storage: LocalStorage) -> tuple[object, list[FailedSample]]:
    index = RunIndex.load(storage)
    failures = [FailedSample(name, failed.stage, failed.error) for name, failed in index.failures().items()]
    return index.counts(), failures


def test_it_says_what_the_index_says_before_and_after_retries(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert said(storage) == indexed(storage)
    write_chunk(storage, ChunkRevision(0), [chunk_sample(0), failed_sample(1), chunk_sample(2)])
    assert said(storage) == indexed(storage)
    write_chunk(storage, ChunkRevision(1), [failed_sample(3), failed_sample(4)])
    assert said(storage) == indexed(storage)
    write_chunk(storage, ChunkRevision(1, 1), [chunk_sample(3), failed_sample(4)])
    assert said(storage) == indexed(storage)
    write_chunk(storage, ChunkRevision(0, 1), [chunk_sample(1)])
    counts, failures = said(storage)
    assert (counts, failures) == indexed(storage)
    assert [failure.sample_id for failure in failures] == [sample_id(4)]


def test_a_record_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    write_chunk(storage, ChunkRevision(0), [chunk_sample(0)])
    refresh_summary(storage)
    write_chunk(storage, ChunkRevision(1), [chunk_sample(1)])
    read: list[str] = []
    real = LocalStorage.read
    monkeypatch.setattr(LocalStorage, "read", lambda self, name: read.append(name) or real(self, name))
    RunSummary.load(storage)
    RunSummary.load(storage)
    assert read == [SUMMARY_FILE, ChunkRevision(1).record, SUMMARY_FILE]


def test_a_chunk_that_was_removed_and_made_again_counts_as_it_is_now(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    write_chunk(storage, ChunkRevision(0), [chunk_sample(0), failed_sample(1)])
    refresh_summary(storage)
    storage.remove(ChunkRevision(0).record)
    assert RunSummary.load(storage).counts().chunks == 0
    write_chunk(storage, ChunkRevision(0), [chunk_sample(0), chunk_sample(1)])
    assert said(storage) == indexed(storage)


def test_a_damaged_table_is_made_again_and_a_damaged_record_is_named(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    write_chunk(storage, ChunkRevision(0), [chunk_sample(0), failed_sample(1)])
    expected = said(storage)
    storage.write(SUMMARY_FILE, b"PAR1 nothing PAR1")
    assert said(storage) == expected
    storage.write(ChunkRevision(1).record, b"nothing")
    with pytest.raises(UserError, match=r"00001\.parquet is damaged"):
        RunSummary.load(storage)
