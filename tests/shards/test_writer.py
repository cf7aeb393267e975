from pathlib import Path

import pytest
from pydantic import ValidationError

from shards.reader import iterate_tar
from shards.writer import ShardConfig, write_publication, write_shards
from tests.shards.samples import folder_bytes, shard_samples


def test_a_shard_is_full_at_the_configured_number_of_samples(tmp_path: Path) -> None:
    infos = write_shards(shard_samples(10), tmp_path, ShardConfig(max_samples_per_shard=3))
    assert [(info.name, info.split, info.samples) for info in infos] == [
        ("train-00000.tar", "train", 3),
        ("train-00001.tar", "train", 3),
        ("train-00002.tar", "train", 2),
        ("val-00000.tar", "val", 2),
    ]


def test_shards_stay_below_the_configured_bytes_unless_one_sample_exceeds_them(tmp_path: Path) -> None:
    limit = 24 * 1024
    infos = write_shards(shard_samples(12), tmp_path, ShardConfig(max_bytes_per_shard=limit))
    # A tar ends with zeros up to a multiple of 10240 bytes, which the limit leaves out.
    assert all(info.size < limit + 10240 for info in infos)
    assert any(info.samples > 1 for info in infos)
    (tmp_path / "tight").mkdir()
    infos = write_shards(shard_samples(5), tmp_path / "tight", ShardConfig(max_bytes_per_shard=1))
    assert {info.samples for info in infos} == {1}


def test_samples_keep_their_order_and_content_within_a_split(tmp_path: Path) -> None:
    samples = shard_samples(10)
    infos = write_shards(samples, tmp_path, ShardConfig(max_samples_per_shard=3))
    for split in ("train", "val"):
        stored = [sample for info in infos if info.split == split for sample in iterate_tar(tmp_path / info.name)]
        assert stored == [(sample.sidecar.id, sample.members) for sample in samples if sample.split == split]


def test_equal_samples_make_equal_bytes_in_every_file(tmp_path: Path) -> None:
    config = ShardConfig(max_samples_per_shard=4)
    for name in ("one", "two"):
        write_publication(shard_samples(10), tmp_path / name, config, {"Seed": "7"}, {"why": "test"})
    files = folder_bytes(tmp_path / "one")
    assert files == folder_bytes(tmp_path / "two")
    assert {"README.md", "checksums", "manifest.parquet", "train-00000.tar"} <= files.keys()
    assert not [name for name in files if name.endswith(".tmp")]


def test_a_publication_never_overwrites_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_publication(shard_samples(1), tmp_path, ShardConfig())


def test_an_unknown_or_impossible_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_samples"):
        ShardConfig.model_validate({"max_samples": 3})
    with pytest.raises(ValidationError, match="max_bytes_per_shard"):
        ShardConfig.model_validate({"max_bytes_per_shard": 0})
