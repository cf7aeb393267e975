import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from layered import UserError
from layered.scores import Score
from ledger.commit import ChunkRevision, ChunkSample, Failure, write_chunk
from ledger.index import RunCounts, RunIndex
from ledger.index_file import INDEX_FILE
from ledger.storage import LocalStorage
from tests.ledger.runs import chunk_sample, failed_sample, make_run, ordinary_run, sample_id, score_rows
from tests.shards.samples import make_sample


def test_the_index_tells_what_is_in_all_chunks(tmp_path: Path) -> None:
    index = RunIndex.load(ordinary_run(tmp_path / "run").storage)
    assert index.counts() == RunCounts(chunks=3, finished=8, failed=1, layers=2 + 3 + 4 + 2 + 3 + 4 + 2 + 3)
    assert index.sample_ids == [sample_id(number) for number in range(9)]
    assert index.failures() == {sample_id(8): Failure("matting", 1, "no object", "Traceback …", '{"a":1}')}
    assert index.failed_by_chunk() == {2: [sample_id(8)]}
    record = index.record(sample_id(4))
    assert record.commit == ChunkRevision(1)
    assert record.layer_count == 3
    assert record.features == {"phash": (4).to_bytes(8, "big")}
    assert record.batch_shapes == {0: (4, 64, 64)}
    assert record.scores[0] == Score(sample_id(4), -1, "clip_whole", 0.5)
    assert [score.layer_index for score in record.scores] == [-1, 0, 1, 2]
    assert list(index.records())[4] == record
    assert len(score_rows(index)) == sum(2 + number % 3 + 1 for number in range(8))


def test_samples_are_read_by_byte_range(tmp_path: Path) -> None:
    index = RunIndex.load(ordinary_run(tmp_path / "run").storage)
    image, sidecar = index.sample(sample_id(5))
    original, record = make_sample(5, layers=4)
    assert np.array_equal(image.whole(), original.whole())
    assert sidecar == record
    assert not [name for name in index.sample_members(sample_id(5)) if name.startswith(("raw_", "thumb_"))]
    thumbnail = index.sample_members(sample_id(5), ["thumb_whole.webp"])["thumb_whole.webp"]
    assert Image.open(io.BytesIO(thumbnail)).size == (30, 20)
    assert index.sample_members(sample_id(8)) == {}
    with pytest.raises(KeyError, match="s0000099"):
        index.sample(sample_id(99))


def test_a_retry_wins_and_its_sample_keeps_its_place(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [[failed_sample(0), chunk_sample(1)], [chunk_sample(2)]])
    write_chunk(run.storage, ChunkRevision(0, 1), [chunk_sample(0, layers=3)])
    index = RunIndex.load(run.storage)
    assert index.sample_ids == [sample_id(0), sample_id(1), sample_id(2)]
    assert index.failures() == {}
    assert index.record(sample_id(0)).commit == ChunkRevision(0, 1)
    assert len(index.sample(sample_id(0))[0].layers) == 3
    assert index.record(sample_id(1)).commit == ChunkRevision(0)


revisions = st.lists(st.dictionaries(st.integers(0, 5), st.booleans(), min_size=1), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(st.lists(revisions, min_size=1, max_size=3))
def test_per_sample_the_highest_revision_wins(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[list[dict[int, bool]]]
) -> None:
    storage = LocalStorage(tmp_path_factory.mktemp("run"))
    expected: dict[str, tuple[ChunkRevision, bool]] = {}
    for chunk, contents in enumerate(chunks):
        for revision, samples in enumerate(contents):
            commit = ChunkRevision(chunk, revision)
            rows = {f"s{chunk}-{number}": works for number, works in samples.items()}
            write_chunk(storage, commit, [_light_sample(name, works) for name, works in rows.items()])
            expected |= {name: (commit, works) for name, works in rows.items()}
            index = RunIndex.load(storage)  # grown commit by commit, like in a run
    (storage.root / INDEX_FILE).unlink()
    for loaded in (index, RunIndex.load(storage)):
        found = {record.sample_id: (record.commit, record.failure is None) for record in loaded.records()}
        assert found == expected


def test_the_stored_index_equals_a_rebuilt_one_and_follows_the_chunks(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    first = list(RunIndex.load(run.storage).records())
    assert (run.path / INDEX_FILE).exists()
    assert list(RunIndex.load(run.storage).records()) == first
    write_chunk(run.storage, ChunkRevision(2, 1), [chunk_sample(8)])
    assert list(RunIndex.load(run.storage).records())[:8] == first[:8]
    assert RunIndex.load(run.storage).failures() == {}
    (run.path / "chunks/00002.r1.parquet").unlink()
    assert list(RunIndex.load(run.storage).records()) == first


def test_a_chunk_that_was_removed_and_made_again_is_read_again(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    assert sample_id(8) in RunIndex.load(run.storage).failures()
    for name in ("chunks/00002.tar", "chunks/00002.parquet"):
        run.storage.remove(name)
    write_chunk(run.storage, ChunkRevision(2), [chunk_sample(number) for number in (6, 7, 8)])
    assert RunIndex.load(run.storage).failures() == {}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nonsense" * 1000])
def test_a_damaged_stored_index_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    run = ordinary_run(tmp_path / "run")
    first = list(RunIndex.load(run.storage).records())
    (run.path / INDEX_FILE).write_bytes(content)
    assert list(RunIndex.load(run.storage).records()) == first


def test_a_run_that_may_only_be_read_can_be_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ordinary_run(tmp_path / "run")

    def refuse(*arguments: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(LocalStorage, "writing", refuse)
    assert len(RunIndex.load(run.storage)) == 9


def test_a_damaged_commit_record_is_a_users_error_that_says_what_to_do(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    (run.path / "chunks/00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"chunks/00001\.parquet is damaged .* remove it"):
        RunIndex.load(run.storage)


def test_a_run_without_chunks_is_an_empty_index(tmp_path: Path) -> None:
    index = RunIndex.load(LocalStorage(tmp_path))
    assert index.counts() == RunCounts(0, 0, 0, 0)
    assert list(index.records()) == []
    assert score_rows(index) == []


def _light_sample(name: str, works: bool) -> ChunkSample:
    """Not an image at all: the index does not look inside."""
    if works:
        return ChunkSample(name, members={"json": b"{}"})
    return ChunkSample(name, failure=Failure("compose", -1, "broken", ""))
