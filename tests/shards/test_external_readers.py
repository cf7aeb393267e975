"""A publication loads in the field's own readers, without any code of ours."""

import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards.reader import Publication
from shards.writer import ShardConfig, write_publication
from tests.shards.samples import shard_samples


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """Ten designs of two to five layers: the first ones lack layers and score names that later ones have."""
    samples = shard_samples(10)
    scored = [
        sample
        if number < 6
        else type(sample)(
            sample.split,
            sample.sidecar.model_copy(update={"scores": {"clip_whole": 0.5, "late": 1.0}}),
            sample.images,
        )
        for number, sample in enumerate(samples)
    ]
    return write_publication(scored, tmp_path_factory.mktemp("readers") / "set", ShardConfig(max_samples_per_shard=3))


def decoded(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)))


def assert_all_there(publication: Publication, split: str, rows: Iterable[dict[str, Any]]) -> None:
    """Compares rows of a foreign reader (key, images as arrays by member name, JSON) with ours."""
    seen = []
    for row in rows:
        image, sidecar = publication.sample(row["key"])
        seen.append(row["key"])
        assert row["json"]["whole_caption"] == sidecar.whole_caption
        assert [layer["seed"] for layer in row["json"]["layers"]] == [layer.seed for layer in sidecar.layers]
        assert np.array_equal(row["whole_image.png"], image.whole())
        for index in range(5):
            layer = row.get(f"layer_{index:02d}.png")
            if index < len(image.layers):
                assert np.array_equal(layer, image.layers[index].pixels)  # alpha included
            else:
                assert layer is None
    rows_of_split = publication.manifest.filter(publication.manifest["split"].to_numpy() == split)
    assert seen == rows_of_split.column("sample_id").to_pylist()


def test_webdataset_reads_it(publication: Publication) -> None:
    import webdataset

    urls = [str(path) for path in sorted(publication.path.glob("train-*.tar"))]
    dataset = webdataset.WebDataset(urls, shardshuffle=False)
    rows = [
        {
            **{name: decoded(content) for name, content in sample.items() if name.endswith(".png")},
            "key": sample["__key__"],
            "json": json.loads(sample["json"]),
        }
        for sample in dataset
    ]
    assert_all_there(publication, "train", rows)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("split", ["train", "val"])
def test_hugging_face_datasets_reads_it(publication: Publication, tmp_path: Path, streaming: bool, split: str) -> None:
    from datasets import load_dataset

    dataset = load_dataset(str(publication.path), split=split, streaming=streaming, cache_dir=str(tmp_path))
    rows = [
        {
            **{name: np.array(value) for name, value in row.items() if name.endswith(".png") and value is not None},
            "key": row["__key__"],
            "json": row["json"],
        }
        for row in dataset
    ]
    assert_all_there(publication, split, rows)
    assert rows[0]["json"]["scores"]["late"] in (None, 1.0)  # declared for all, because some have it
    assert rows[-1]["json"]["scores"]["late"] == 1.0


def test_ray_data_reads_it(publication: Publication, ray_session: Any) -> None:
    paths = [str(path) for path in sorted(publication.path.glob("train-*.tar"))]
    dataset = ray_session.data.read_webdataset(paths, decoder=None)
    rows = [
        {
            **{name: decoded(value) for name, value in row.items() if name.endswith(".png") and value is not None},
            "key": row["__key__"].decode() if isinstance(row["__key__"], bytes) else row["__key__"],
            "json": json.loads(row["json"]),
        }
        for row in dataset.take_all()
    ]
    assert_all_there(publication, "train", sorted(rows, key=lambda row: row["key"]))


@pytest.mark.parametrize("reader", ["datasets", "webdataset", "ray"])
def test_the_cards_own_code_runs(publication: Publication, ray_session: Any, reader: str) -> None:
    card = (publication.path / "README.md").read_text()
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        if f"import {reader}" in block or f"from {reader}" in block
    ]
    names: dict[str, Any] = {}
    exec(code.replace("path/to/this/folder", str(publication.path)), names)
    first_of_train = publication.sample_ids[0]
    assert names["sample"]["__key__"] in (first_of_train, first_of_train.encode())
    image, _ = publication.sample(first_of_train)
    layer = names["sample"]["layer_00.png"]
    pixels = decoded(layer) if isinstance(layer, bytes) else np.array(layer)
    assert np.array_equal(pixels, image.layers[0].pixels)
