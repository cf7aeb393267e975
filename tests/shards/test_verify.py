from dataclasses import replace
from pathlib import Path

import pytest

from layered import UserError
from layered.codec import WHOLE_IMAGE_MEMBER
from shards.reader import Publication
from shards.verify import Problem, check_sample, verify_publication
from shards.writer import ShardConfig, write_publication
from tests.shards.samples import flip_byte, shard_sample, shard_samples


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return write_publication(shard_samples(10), tmp_path / "set", ShardConfig(max_samples_per_shard=3))


def test_an_intact_publication_has_no_problems(publication: Publication) -> None:
    assert verify_publication(publication.path) == []


@pytest.mark.parametrize("sample_id", ["s0000000", "s0000004", "s0000008"])
@pytest.mark.parametrize("where", ["first", "last"])
def test_one_changed_byte_names_exactly_its_sample(publication: Publication, sample_id: str, where: str) -> None:
    placement = publication.placement(sample_id)
    member = placement.members[2]
    flip_byte(publication.path / placement.shard, member.offset + (0 if where == "first" else member.size - 1))
    assert verify_publication(publication.path) == [
        Problem(placement.shard, sample_id, member.name, "does not have the recorded sha256")
    ]


def test_a_changed_byte_that_belongs_to_no_sample_names_the_shard(publication: Publication) -> None:
    flip_byte(publication.path / "val-00000.tar", -1)
    assert [str(problem) for problem in verify_publication(publication.path)] == [
        "val-00000.tar: does not have the sha256 that checksums says"
    ]


def test_missing_changed_and_unlisted_files_are_found(publication: Publication) -> None:
    (publication.path / "train-00001.tar").unlink()
    (publication.path / "README.md").write_text("something else")
    (publication.path / "train-00009.tar").write_bytes(b"")
    assert [(problem.file, problem.message) for problem in verify_publication(publication.path)] == [
        ("README.md", "does not have the sha256 that checksums says"),
        ("train-00001.tar", "is missing"),
        ("train-00009.tar", "is not listed in checksums"),
    ]


def test_a_cut_shard_names_the_samples_that_are_lost(publication: Publication) -> None:
    shard = publication.path / "train-00000.tar"
    with shard.open("r+b") as stream:
        stream.truncate(publication.placement("s0000001").members[0].offset)
    assert {problem.sample_id for problem in verify_publication(publication.path)} == {"s0000001", "s0000002"}


def test_a_damaged_manifest_or_list_of_checksums_is_a_problem_not_a_crash(publication: Publication) -> None:
    checksums = (publication.path / "checksums").read_bytes()
    (publication.path / "checksums").write_text("nonsense\n")
    assert "checksums:1" in verify_publication(publication.path)[0].message
    (publication.path / "checksums").write_bytes(checksums)
    (publication.path / "manifest.parquet").write_bytes(b"")
    assert "manifest.parquet cannot be read" in verify_publication(publication.path)[0].message
    (publication.path / "manifest.parquet").unlink()
    with pytest.raises(UserError, match="is not a publication"):
        verify_publication(publication.path)


def test_a_sample_whose_files_contradict_each_other_is_found_behind_right_hashes(tmp_path: Path) -> None:
    one, other = shard_sample(1), shard_sample(2)
    forged = replace(one, images={**one.images, WHOLE_IMAGE_MEMBER: other.images[WHOLE_IMAGE_MEMBER]})
    write_publication([forged, other], tmp_path / "set", ShardConfig())
    assert [str(problem) for problem in verify_publication(tmp_path / "set")] == [
        "train-00000.tar: s0000001: whole_image.png is not the composite of base image and layers"
    ]


def test_each_contradiction_is_named() -> None:
    members = shard_sample(1).members
    assert check_sample("s0000001", members) == []
    assert check_sample("s0000002", members) == [("json", "belongs to sample s0000001")]
    assert check_sample("s0000001", {**members, "layer_07.png": b""}) == [
        ("layer_07.png", "is not known to the sidecar")
    ]
    without_whole = {name: content for name, content in members.items() if name != "whole_image.png"}
    assert check_sample("s0000001", without_whole) == [("whole_image.png", "is missing")]
    without_layer = {name: content for name, content in members.items() if name != "layer_01.png"}
    assert "layer_01.png is missing" in check_sample("s0000001", without_layer)[0][1]
    other_layer = {**members, "layer_00.png": members["base_image.png"]}
    assert "layer_00.png" in check_sample("s0000001", other_layer)[0][1]
