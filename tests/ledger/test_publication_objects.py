import json
from pathlib import Path

import pytest

from ledger import garbage
from ledger.commit import ChunkRevision, write_chunk
from ledger.decisions import append_decisions
from ledger.index import RunIndex
from ledger.lease import held
from ledger.publication import publish
from ledger.publication_objects import PublicationObjects
from ledger.run_directory import RunDirectory
from ledger.verify import verify_run
from shards.reader import Publication, holds_publication
from shards.verify import verify_publication
from shards.writer import ShardConfig
from tests.ledger.runs import chunk_sample, make_run, on, ordinary_run, sample_id
from tests.shards.samples import folder_bytes

CONFIG = ShardConfig(max_samples_per_shard=3)


@pytest.fixture
def run(bucket: str) -> RunDirectory:
    return ordinary_run(f"{bucket}/runs/one")


def test_the_bytes_are_those_of_a_local_publication(run: RunDirectory, tmp_path: Path) -> None:
    there = publish(run, CONFIG, {"clip_layer": 0.2}, facts={"Run seed": "7"})
    here = publish(ordinary_run(tmp_path / "run"), CONFIG, {"clip_layer": 0.2}, facts={"Run seed": "7"})
    assert there.publication.fingerprint == here.publication.fingerprint
    files = there.publication.files
    assert {name: files.read(name) for name in files.list("")} == folder_bytes(tmp_path / "run/shards")
    assert verify_publication(f"{run.place}/shards") == []
    assert verify_run(run.place) == []


def test_a_sample_comes_back_by_byte_range(run: RunDirectory) -> None:
    publish(run, CONFIG, {})
    publication = Publication.open(f"{run.place}/shards")
    members = RunIndex.load(run.storage).sample_members(sample_id(5))
    assert publication.members(sample_id(5), ["layer_00.png"])["layer_00.png"] == members["layer_00.png"]


def test_the_former_publication_stays_until_it_is_pruned_and_is_taken_again(run: RunDirectory) -> None:
    first = publish(run, CONFIG, {})
    append_decisions(run.storage, [on(5, 1, "reject")])
    second = publish(run, CONFIG, {})
    assert second.publication.fingerprint != first.publication.fingerprint
    assert Publication.open(first.publication.place).fingerprint == first.publication.fingerprint
    append_decisions(run.storage, [on(5, 2, "undo")])
    third = publish(run, CONFIG, {})
    assert third.publication.place == first.publication.place, "what was written before is not written again"
    assert not publish(run, CONFIG, {}).written
    with held(run.storage):
        publish(run, CONFIG, {}, prune=True)
    assert run.storage.folders("shards@") == [first.publication.place.rpartition("/")[2]]
    assert holds_publication(f"{run.place}/shards")


def test_a_set_that_was_never_finished_is_nobodys_and_goes_when_it_is_old(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.storage.write("shards@0123456789ab-cafe/train-00000.tar", b"half")
    assert not holds_publication(f"{run.place}/shards")
    with held(run.storage):
        PublicationObjects(run.storage).repair()
        assert run.storage.folders("shards@"), "its writer may still live"
        monkeypatch.setattr("ledger.publication_objects.GARBAGE_SECONDS", -1.0)
        PublicationObjects(run.storage).repair()
    assert run.storage.folders("shards@") == []


def test_a_pointer_that_names_nothing_is_no_publication(run: RunDirectory) -> None:
    run.storage.write("shards.json", json.dumps({"folder": "shards@gone"}).encode())
    assert not holds_publication(f"{run.place}/shards")
    assert publish(run, CONFIG, {}).written


def test_each_try_of_a_chunk_has_a_tar_of_its_own_and_the_losers_goes(bucket: str) -> None:
    run = make_run(f"{bucket}/run", [[chunk_sample(0)]])
    [tar] = [name for name in run.storage.list("chunks") if name.endswith(".tar")]
    assert ChunkRevision.of_tar(tar) == ChunkRevision(0)
    assert tar != ChunkRevision(0).tar
    assert not write_chunk(run.storage, ChunkRevision(0), [chunk_sample(0)])
    assert RunIndex.load(run.storage).record(sample_id(0)).tar == tar
    assert run.storage.list("chunks") == [tar, "chunks/00000.parquet"]


def test_of_two_who_commit_a_chunk_at_once_one_wins_and_leaves_no_other_tar(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(f"{bucket}/run", [[chunk_sample(0)]])
    monkeypatch.setattr(type(run.storage), "exists", lambda self, name: False)  # it looked before the other committed
    assert not write_chunk(run.storage, ChunkRevision(0), [chunk_sample(0, clip=0.9)])
    monkeypatch.undo()
    assert len(run.storage.list("chunks")) == 2
    assert RunIndex.load(run.storage).record(sample_id(0)).scores[0].score == 0.5


def test_tars_that_no_record_names_go_when_they_are_old(bucket: str) -> None:
    run = make_run(f"{bucket}/run", [[chunk_sample(0)], [chunk_sample(1)]])
    lost = ["chunks/00000.0123456789ab.tar", "chunks/00007.0123456789ab.tar", "chunks/00007.r1.0123456789ab.tar"]
    before = run.storage.list("chunks")
    for name in lost:
        run.storage.write(name, b"of a try that died")
    with held(run.storage):
        assert garbage.remove_unnamed_chunks(run.storage) == []
        assert sorted(garbage.remove_unnamed_chunks(run.storage, older_than=-1)) == lost
    assert run.storage.list("chunks") == before
    assert verify_run(run.place) == []
