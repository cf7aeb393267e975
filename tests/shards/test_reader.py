from pathlib import Path

import numpy as np
import pytest

from layered import UserError
from shards.reader import Publication, iterate_tar
from shards.writer import ShardConfig, write_publication
from tests.shards.samples import make_sample, shard_samples


def test_random_access_and_sequential_reading_agree(tmp_path: Path) -> None:
    publication = write_publication(shard_samples(9), tmp_path / "set", ShardConfig(max_samples_per_shard=3))
    sequential = dict(sample for path in sorted((tmp_path / "set").glob("*.tar")) for sample in iterate_tar(path))
    assert sequential.keys() == set(publication.sample_ids)
    for sample_id in reversed(publication.sample_ids):
        assert publication.members(sample_id) == sequential[sample_id]
        assert list(publication.members(sample_id, ["json"])) == ["json"]


def test_a_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    publication = write_publication(shard_samples(9), tmp_path / "set", ShardConfig())
    assert len(publication) == 9
    assert publication.sample_ids == [f"s{number:07d}" for number in range(9)]
    image, sidecar = publication.sample("s0000007")
    original, record = make_sample(7, layers=5)
    assert np.array_equal(image.whole(), original.whole())
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(image.layers, original.layers, strict=True))
    assert sidecar.layers == record.layers


def test_placements_are_those_of_single_look_ups(tmp_path: Path) -> None:
    publication = write_publication(shard_samples(9), tmp_path / "set", ShardConfig(max_samples_per_shard=3))
    assert list(publication.placements()) == [publication.placement(sample_id) for sample_id in publication.sample_ids]


def test_an_unknown_sample_is_a_key_error(tmp_path: Path) -> None:
    publication = write_publication(shard_samples(2), tmp_path / "set", ShardConfig())
    with pytest.raises(KeyError, match="s0000099"):
        publication.sample("s0000099")


def test_a_folder_that_is_no_publication_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a publication: it has no manifest\.parquet"):
        Publication.open(tmp_path)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    (tmp_path / "checksums").write_text("")
    with pytest.raises(UserError, match="damaged"):
        Publication.open(tmp_path)
