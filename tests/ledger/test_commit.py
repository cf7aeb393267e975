import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from layered.png import decode_png
from ledger.commit import (
    ChunkRevision,
    ChunkSample,
    committed,
    next_revision,
    raw_member,
    thumbnail_member,
    write_chunk,
)
from ledger.index import RunIndex
from ledger.storage import LocalStorage
from ledger.verify import verify_chunk
from shards.reader import iterate_tar
from tests.ledger.runs import chunk_sample, failed_sample
from tests.shards.samples import folder_bytes


def test_a_chunk_holds_its_samples_with_raws_and_thumbnails(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert write_chunk(storage, ChunkRevision(42), [chunk_sample(1), failed_sample(2)])
    [(sample_id, members)] = iterate_tar(tmp_path / "chunks/00042.tar")
    assert sample_id == "s0000001"
    assert list(members) == [
        "base_image.png",
        "json",
        "layer_00.png",
        "layer_01.png",
        "raw_base.png",
        "raw_layer_00.png",
        "raw_layer_01.png",
        "thumb_layer_00.webp",
        "thumb_layer_01.webp",
        "thumb_whole.webp",
        "whole_image.png",
    ]
    assert decode_png(members["raw_layer_00.png"]).shape == (20, 30, 3)
    rows = pq.read_table(tmp_path / "chunks/00042.parquet").to_pylist()
    assert [row["failure"] and row["failure"]["error"] for row in rows] == [None, "no object"]
    assert rows[0]["batch_shapes"] == [{"layer_index": 0, "shape": [4, 64, 64]}]


def test_names_of_extras_follow_the_layer() -> None:
    assert (raw_member(-1), raw_member(3)) == ("raw_base.png", "raw_layer_03.png")
    assert (thumbnail_member(-1), thumbnail_member(12)) == ("thumb_whole.webp", "thumb_layer_12.webp")


def test_equal_samples_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_chunk(LocalStorage(tmp_path / name), ChunkRevision(0), [chunk_sample(1), failed_sample(2)])
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")


def test_raws_can_be_left_out(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    write_chunk(storage, ChunkRevision(0), [chunk_sample(1, keep_raw=False)])
    [(_, members)] = iterate_tar(tmp_path / "chunks/00000.tar")
    assert not [name for name in members if name.startswith("raw_")]


def test_the_first_commit_wins(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert write_chunk(storage, ChunkRevision(0), [chunk_sample(1)])
    before = folder_bytes(tmp_path)
    assert not write_chunk(storage, ChunkRevision(0), [chunk_sample(2)])
    assert folder_bytes(tmp_path) == before


@pytest.mark.parametrize("step", ["replace", "link"])
def test_a_commit_killed_at_either_step_does_not_exist_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    storage = LocalStorage(tmp_path / "killed")
    with monkeypatch.context() as patch:
        # replace puts the tar in place, link the record.
        patch.setattr(*((Path, "replace") if step == "replace" else (os, "link")), _die)
        with pytest.raises(KeyboardInterrupt):
            write_chunk(storage, ChunkRevision(0), [chunk_sample(1)])
    assert committed(storage) == []
    assert len(RunIndex.load(storage)) == 0
    assert write_chunk(storage, ChunkRevision(0), [chunk_sample(1)])
    undisturbed = LocalStorage(tmp_path / "undisturbed")
    write_chunk(undisturbed, ChunkRevision(0), [chunk_sample(1)])
    assert folder_bytes(storage.root) == folder_bytes(undisturbed.root)
    assert verify_chunk(storage, ChunkRevision(0)) == []


def test_commits_are_listed_by_chunk_and_revision(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    commits = [ChunkRevision(0), ChunkRevision(0, 1), ChunkRevision(0, 10), ChunkRevision(2), ChunkRevision(123456)]
    for commit in reversed(commits):
        write_chunk(storage, commit, [failed_sample(commit.chunk)])
    storage.write("chunks/notes.parquet", b"")
    assert committed(storage) == commits
    assert [commit.name for commit in commits] == ["00000", "00000.r1", "00000.r10", "00002", "123456"]
    assert next_revision(storage, 0) == ChunkRevision(0, 11)
    assert next_revision(storage, 1) == ChunkRevision(1, 0)


def test_a_sample_is_finished_or_failed_and_occurs_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either members or a failure"):
        ChunkSample("s1")
    with pytest.raises(ValueError, match="twice in chunk 00000"):
        write_chunk(LocalStorage(tmp_path), ChunkRevision(0), [chunk_sample(1), failed_sample(1)])


def _die(*arguments: object) -> None:
    raise KeyboardInterrupt
