"""Samples are read alike from publications, runs and layered folders."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.samples import FolderSamples, open_samples
from layered.codec import encode_members
from layered.errors import UserError
from layered.folder import write_layered_folder
from shards.writer import ShardConfig, write_publication
from tests.shards.samples import make_sample, shard_samples


def folder_of(path: Path, count: int) -> Path:
    for number in range(count):
        image, sidecar = make_sample(number)
        write_layered_folder(path, sidecar.id, encode_members(image, sidecar))
    return path


def test_a_folder_and_a_publication_give_the_same_samples(tmp_path: Path) -> None:
    folder = open_samples(folder_of(tmp_path / "folder", 2))
    write_publication(shard_samples(2), tmp_path / "run" / "shards", ShardConfig())
    published = open_samples(tmp_path / "run")
    assert folder.sample_ids == published.sample_ids == ["s0000000", "s0000001"]
    for samples in (folder, published):
        image, sidecar = samples.sample("s0000000")
        np.testing.assert_array_equal(image.whole(), make_sample(0)[0].whole())
        assert sidecar.whole_caption == samples.sidecar("s0000000").whole_caption


def test_what_is_no_sample_is_passed_over_and_what_is_damaged_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder", 2)
    (folder / "facts.json").write_text("{}")
    (folder / "s0000001.layer_00.png").write_bytes(b"cut")
    samples = FolderSamples(folder)
    assert samples.sample_ids == ["s0000000", "s0000001"]
    with pytest.raises(UserError, match=r"s0000001 is damaged: layer_00\.png"):
        samples.sample("s0000001")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no layered image"):
        open_samples(tmp_path)
    with pytest.raises(UserError, match="give a publication, a run or a layered folder"):
        open_samples(tmp_path / "nowhere")
