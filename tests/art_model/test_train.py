"""Trainings started in this process and on Ray: lines and mistakes come through."""

from pathlib import Path
from typing import Any

import pytest

from art_model.checkpoint import read_settings
from art_model.train import launch
from layered.errors import UserError
from tests.art_model.test_training_job import config_for
from tests.art_model.tiny_publication import tiny_publication


def test_a_training_runs_in_this_process_without_ray(art_folder: Path, tmp_path: Path) -> None:
    publication = tiny_publication(tmp_path / "shards")
    more = {"method": "full", "validation": {"every": None}, "workers": {"kind": "inline"}}
    lines: list[str] = []
    folder = launch(config_for(publication.path, art_folder, tmp_path, **more), lines.append)
    assert read_settings(folder).name == "art-plus"
    assert "5 of 6 samples" in lines[0]
    assert str(folder) in lines[-1]


@pytest.mark.slow
def test_a_training_runs_on_ray_and_is_found_finished(ray_session: Any, art_folder: Path, tmp_path: Path) -> None:
    publication = tiny_publication(tmp_path / "shards")
    config = config_for(publication.path, art_folder, tmp_path)
    lines: list[str] = []
    folder = launch(config, lines.append)
    assert read_settings(folder).name == "art-plus"
    assert any("5 of 6 samples" in line for line in lines)
    assert any(line.startswith("step 2/2 loss") for line in lines)
    assert not (tmp_path / "out/.ray").exists()

    other = config_for(publication.path, art_folder, tmp_path, seed=1)
    with pytest.raises(UserError, match=r"belongs to another training \(settings\.seed was 0, is 1\)"):
        launch(other, lines.append)

    next(publication.path.glob("*.tar")).unlink()
    with pytest.raises(UserError, match=r"\.tar is missing"):
        launch(config, lines.append)


@pytest.mark.slow
def test_more_than_there_is_is_refused_at_once(ray_session: Any, art_folder: Path, tmp_path: Path) -> None:
    config = config_for(tmp_path, art_folder, tmp_path, workers={"count": 1000})
    with pytest.raises(UserError, match="workers want 1000 CPUs"):
        launch(config)
