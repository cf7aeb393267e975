import subprocess
from pathlib import Path

import pytest

from shards.files import LocalFiles
from shards.manifest import read_checksums, read_manifest
from shards.writer import ShardConfig, write_publication
from tests.shards.samples import shard_samples


def test_sha256sum_agrees_with_the_checksums(tmp_path: Path) -> None:
    write_publication(shard_samples(6), tmp_path / "set", ShardConfig(max_samples_per_shard=2))
    result = subprocess.run(["sha256sum", "-c", "checksums"], cwd=tmp_path / "set", capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    listed = {line.split(":")[0] for line in result.stdout.splitlines()}
    assert listed == {path.name for path in (tmp_path / "set").iterdir()} - {"checksums"}


def test_a_row_says_what_a_trainer_filters_by(tmp_path: Path) -> None:
    write_publication(shard_samples(5), tmp_path / "set", ShardConfig())
    row = read_manifest(LocalFiles(tmp_path / "set")).to_pylist()[4]
    assert (row["sample_id"], row["split"], row["shard"]) == ("s0000004", "val", "val-00000.tar")
    assert (row["style"], row["layer_count"], row["canvas"]) == ("flat", 2, [30, 20])
    assert row["licences"] == ["Apache-2.0", "MIT"]
    assert {"layer_index": 1, "name": "clip_layer", "score": 0.1} in row["scores"]
    assert len(row["layer_boxes"]) == 2
    assert [member["name"] for member in row["members"]][:2] == ["base_image.png", "json"]


def test_many_samples_reach_the_manifest_in_order(tmp_path: Path) -> None:
    samples = shard_samples(1) * 1030  # more than one row group
    write_publication(samples, tmp_path / "set", ShardConfig())
    manifest = read_manifest(LocalFiles(tmp_path / "set"))
    assert len(manifest) == 1030
    assert len({row["members"][0]["offset"] for row in manifest.select(["members"]).to_pylist()}) > 900


def test_the_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    fingerprints = {
        write_publication(shard_samples(count), tmp_path / name, ShardConfig(title=title)).fingerprint
        for name, count, title in (("a", 3, "A"), ("b", 4, "A"), ("c", 3, "C"))
    }
    assert len(fingerprints) == 3


@pytest.mark.parametrize(("content", "error"), [("abc  x.tar\n", "checksums:1"), ("\n", "checksums:1")])
def test_checksums_in_another_format_are_refused_with_their_line(tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "checksums").write_text(content)
    with pytest.raises(ValueError, match=error):
        read_checksums(LocalFiles(tmp_path))
