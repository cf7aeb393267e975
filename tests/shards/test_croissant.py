"""The Croissant documents of both kinds of sets: valid, and a reader that knows nothing of us finds the samples."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exports.prismlayers.writer import write_prismlayers
from layered.codec import encode_members
from shards.croissant import CROISSANT_FILE
from shards.verify import verify_publication
from shards.writer import ShardConfig, write_publication
from tests.shards.samples import make_sample, shard_samples


def publication(folder: Path) -> Path:
    return write_publication(shard_samples(6), folder, ShardConfig(title="Six designs")).path


def parquet(folder: Path) -> Path:
    samples = (make_sample(number) for number in range(6))
    write_prismlayers(folder, ((sidecar, encode_members(image, sidecar)) for image, sidecar in samples))
    return folder


def records_of(folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(folder / CROISSANT_FILE))
    return dataset.metadata, list(dataset.records("samples"))


@pytest.mark.parametrize("write", [publication, parquet])
def test_the_reference_implementation_finds_nothing_wrong(write: Callable[[Path], Path], tmp_path: Path) -> None:
    metadata, records = records_of(write(tmp_path / "set"))
    assert metadata.ctx.issues.errors == set()
    assert len(records) == 6
    assert sorted(metadata.license) == ["Apache-2.0", "MIT"]


def test_it_reads_names_and_captions_from_the_manifest(tmp_path: Path) -> None:
    _, records = records_of(publication(tmp_path / "set"))
    assert {record["samples/sample_id"] for record in records} == {f"s000000{i}".encode() for i in range(6)}
    assert {record["samples/layer_count"] for record in records} == {2, 3, 4, 5}


def test_it_reads_pictures_from_prismlayers_parquet(tmp_path: Path) -> None:
    _, records = records_of(parquet(tmp_path / "set"))
    for record in records:
        image, _ = make_sample(int(record["samples/id"].decode()[1:]))
        picture = record["samples/layer_01"]
        pixels = np.array(picture if isinstance(picture, Image.Image) else Image.open(io.BytesIO(picture)))
        assert np.array_equal(pixels, image.layers[1].pixels)


def test_it_is_among_what_the_checksums_cover(tmp_path: Path) -> None:
    folder = publication(tmp_path / "set")
    assert verify_publication(folder) == []
    document = json.loads((folder / CROISSANT_FILE).read_text())
    (folder / CROISSANT_FILE).write_text(json.dumps(document | {"name": "other"}))
    assert [problem.file for problem in verify_publication(folder)] == [CROISSANT_FILE]
