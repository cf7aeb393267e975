"""Oddity: ranks among sound pictures put together, in closed form; and files that do not fit are refused."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.neighbors import NearestNeighbors

from filters.artifact_oddity import ODDITY_NAME, Oddity, load_oddity, save_oddity, standardised, tail
from filters.artifact_statistics import STATISTICS
from layered.errors import UserError

COUNT = len(STATISTICS)


@pytest.fixture
def oddity() -> Oddity:
    """References around 3, two wide."""
    references = np.random.default_rng(2).normal(0, 1, (60, COUNT)).astype(np.float32)
    mean, deviation = np.full(COUNT, 3, np.float32), np.full(COUNT, 2, np.float32)
    return Oddity(mean, deviation, references, np.linspace(4, 9, 11, dtype=np.float32))


def test_a_rank_s_tail_falls_from_one_to_less_than_a_step() -> None:
    ladder = np.linspace(0, 1, 11, dtype=np.float32)
    parts = tail(np.array([-1.0, 0.0, 0.5, 1.0, 7.0]), ladder)
    assert np.allclose(parts, [1, 1, 6 / 11, 1 / 11, 0.5 / 11])


def test_distances_are_those_of_another_library(oddity: Oddity) -> None:
    statistics = np.random.default_rng(3).normal(3, 4, (9, COUNT)).astype(np.float32)
    values = standardised(statistics, oddity.mean, oddity.deviation)
    nearest, _ = NearestNeighbors(n_neighbors=1).fit(oddity.references).kneighbors(values)
    assert np.allclose(oddity.distance(statistics), nearest[:, 0], atol=1e-3)


def test_what_is_farther_is_less_sound_and_what_is_near_is_sound(oddity: Oddity) -> None:
    usual = np.full((1, COUNT), 3, np.float32)
    known = oddity.references[:1] * 2 + 3
    assert oddity.soundness_of(known)[0] == 1
    assert 0 < oddity.soundness_of(usual + 6)[0] < oddity.soundness_of(usual)[0] <= 1


def test_a_folder_keeps_it_and_may_lack_it(oddity: Oddity, tmp_path: Path) -> None:
    assert load_oddity(tmp_path) is None
    save_oddity(oddity, tmp_path / "model")
    kept = load_oddity(tmp_path / "model")
    assert kept is not None
    for field in fields(Oddity):
        assert np.allclose(getattr(kept, field.name), getattr(oddity, field.name), atol=0.02)
    statistics = np.random.default_rng(3).normal(3, 4, (9, COUNT)).astype(np.float32)
    assert np.allclose(kept.distance(statistics), oddity.distance(statistics), atol=0.05)


def test_references_that_were_stored_in_half_precision_are_read_too(oddity: Oddity, tmp_path: Path) -> None:
    save_oddity(oddity, tmp_path)
    stored = load_file(tmp_path / ODDITY_NAME) | {"references": oddity.references.astype(np.float16)}
    save_file(stored, tmp_path / ODDITY_NAME, metadata={"statistics": " ".join(STATISTICS)})
    kept = load_oddity(tmp_path)
    assert kept is not None
    assert np.allclose(kept.references, oddity.references, atol=2e-3)


def test_a_file_of_other_statistics_or_of_none_is_refused(oddity: Oddity, tmp_path: Path) -> None:
    save_oddity(replace(oddity), tmp_path)
    path = tmp_path / ODDITY_NAME
    tensors = load_file(path)
    save_file(tensors, path, metadata={"statistics": "area fill"})
    with pytest.raises(UserError, match="other statistics"):
        load_oddity(tmp_path)
    save_file({"mean": tensors["mean"]}, path)
    with pytest.raises(UserError, match="cannot be read"):
        load_oddity(tmp_path)
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="cannot be read"):
        load_oddity(tmp_path)
