"""Licences are counted by part, and only what is under the wanted ones is published."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from exports.licences import summarise_licences
from ledger.commit import encode_sample
from ledger.publication import NothingToPublishError, publish
from ledger.run_directory import RunDirectory
from ledger.verify import verify_run
from pipeline.licences import licences_of, write_licences
from shards.reader import Publication
from shards.writer import ShardConfig
from tests.ledger.runs import make_run, sample_id
from tests.shards.samples import make_sample

LAYERS = 3
"""`make_sample` puts the lowest layer under MIT, the others under Apache-2.0."""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Two samples, the base image of the first under MIT and that of the second under Apache-2.0."""
    samples = []
    for number, licence in enumerate(("MIT", "Apache-2.0")):
        image, sidecar = make_sample(number, LAYERS)
        provenance = {"base_licence": licence, "base_model": "tiny", "base_revision": "r1"}
        sidecar = sidecar.model_copy(update={"id": sample_id(number), "provenance": provenance})
        samples.append(encode_sample(image, sidecar, {}))
    return make_run(tmp_path / "run", [samples])


def published(run: RunDirectory, *licences: str, whole_samples: bool = False) -> Mapping[str, str]:
    """Publishes; why what is left out was."""
    config = ShardConfig(licences=licences, whole_samples=whole_samples)
    with run.driving():
        result = publish(run, config, {})
    assert verify_run(run.path) == []
    return {left.sample_id: f"{left.reason}: {left.detail}" for left in result.selection.left_out}


def test_every_part_is_counted(run: RunDirectory, tmp_path: Path) -> None:
    summary = licences_of(run.path)
    assert (summary.samples, summary.mixed) == (2, 2)
    assert summary.licences == ["Apache-2.0", "MIT"]
    counts = {(part.licence, part.kind): count for part, count in summary.parts.items()}
    assert counts == {
        ("Apache-2.0", "layer"): 4,
        ("Apache-2.0", "base image"): 1,
        ("MIT", "layer"): 2,
        ("MIT", "base image"): 1,
    }
    assert next(iter(summary.parts)).licence == "Apache-2.0"  # the most frequent first
    write_licences(tmp_path / "licences.json", summary)
    assert json.loads((tmp_path / "licences.json").read_text())["parts"][0]["count"] > 0
    assert "| MIT | layer | huge | r1 | 2 |" in summary.to_markdown()


def test_drawn_text_has_a_row_of_its_own() -> None:
    _, sidecar = make_sample(0, 2)
    text = sidecar.layers[1].model_copy(update={"kind": "text", "model": "font", "licence": ""})
    summary = summarise_licences([sidecar.model_copy(update={"layers": (sidecar.layers[0], text)})])
    assert "| not recorded | text layer | font | r1 | 1 |" in summary.to_markdown()
    assert summary.mixed == 0  # the base image has none recorded, and text is nobody's drawing


def test_layers_under_other_licences_are_left_out_and_the_rest_is_composed_again(run: RunDirectory) -> None:
    left_out = published(run, "Apache-2.0")
    assert left_out == {sample_id(0): "licence: the base image is under MIT"}
    summary = licences_of(run.path)
    assert summary.licences == ["Apache-2.0"]
    assert summary.samples == 1
    image, sidecar = Publication.open(run.path / "shards").sample(sample_id(1))
    assert [layer.index for layer in sidecar.layers] == [1, 2]
    assert sidecar.whole_caption == "a beach, thing 1, thing 2"  # thing 0 is not named any more
    former, _ = make_sample(1, LAYERS)
    assert np.array_equal(image.whole(), former.without({0}).whole())


def test_whole_samples_are_left_out_where_that_is_wanted(run: RunDirectory) -> None:
    with pytest.raises(NothingToPublishError) as nothing:
        published(run, "Apache-2.0", whole_samples=True)
    assert [left.detail for left in nothing.value.selection.left_out] == [
        "the base image is under MIT",
        "layer 0 is under MIT",
    ]


def test_without_a_list_everything_is_published(run: RunDirectory) -> None:
    assert published(run) == {}
    assert published(run, "MIT", "Apache-2.0") == {}
