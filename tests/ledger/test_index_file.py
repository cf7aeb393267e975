"""The index in blocks: what is in it does not depend on their size, and nobody's rewriting is noticed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layered.scores import Score
from ledger import index_file
from ledger.commit import ChunkRevision, write_chunk
from ledger.index import RunIndex, SampleRecord
from ledger.index_file import INDEX_FILE
from ledger.rescoring import Rescored, ScorePass
from ledger.storage import LocalStorage
from tests.ledger.runs import chunk_sample, failed_sample, sample_id, score_rows

COMMITS = {
    ChunkRevision(0): [chunk_sample(0), failed_sample(1), chunk_sample(2, layers=3), failed_sample(3)],
    ChunkRevision(0, 1): [chunk_sample(1), failed_sample(3)],
    ChunkRevision(0, 2): [chunk_sample(3, clip=0.7)],
    ChunkRevision(1): [chunk_sample(4), chunk_sample(5)],
    ChunkRevision(2): [failed_sample(6), chunk_sample(7)],
}


def loaded(storage: LocalStorage) -> tuple[list[SampleRecord], list[object], list[str]]:
    index = RunIndex.load(storage)
    records = list(index.records())
    assert [index.record(sample_id) for sample_id in reversed(index.sample_ids)] == records[::-1]
    return records, score_rows(index), list(index.failures())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 5), order=st.permutations(list(COMMITS)))
def test_records_scores_and_failures_are_the_same_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, size: int, order: list[ChunkRevision]
) -> None:
    whole, parts = (LocalStorage(tmp_path_factory.mktemp("run")) for _ in range(2))
    for commit, samples in COMMITS.items():
        write_chunk(whole, commit, samples)
    monkeypatch.setattr(index_file, "ROWS_AT_ONCE", size)
    for commit in order:
        write_chunk(parts, commit, COMMITS[commit])
        RunIndex.load(parts)  # brought up to date commit by commit, whichever came first
    for storage in (whole, parts):
        new = [Rescored(sample_id(number), (Score(sample_id(number), -1, "clip_whole", 0.9),)) for number in (4, 5)]
        ScorePass.begin(storage, {"seed": 1}).write(ChunkRevision(1), new)
    in_parts = loaded(parts)
    monkeypatch.undo()
    assert in_parts == loaded(whole)
    assert [record.sample_id for record in in_parts[0]] == [sample_id(number) for number in range(8)]
    assert in_parts[2] == [sample_id(6)]


def test_an_index_in_use_stays_what_it_was_when_the_stored_one_is_replaced(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    write_chunk(storage, ChunkRevision(0), COMMITS[ChunkRevision(0)])
    for index in (RunIndex.load(storage), RunIndex.load(storage)):  # a temporary file, then the stored one
        before = list(index.records())
        storage.write(INDEX_FILE, b"something else")
        assert list(index.records()) == before
        storage.remove(INDEX_FILE)
        RunIndex.load(storage)


def test_memory_holds_a_few_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "ROWS_AT_ONCE", 1)
    storage = LocalStorage(tmp_path)
    for number in range(6):
        write_chunk(storage, ChunkRevision(number), [chunk_sample(number)])
    index = RunIndex.load(storage)
    assert len(list(index.records())) == 6
    assert len(index._records._blocks) == index_file._BLOCKS_KEPT
