"""What a cluster is given: checked here, whole in itself, and nothing large."""

import json
import subprocess
from pathlib import Path

import pytest

from layered.errors import UserError
from pipeline import submission
from pipeline.config import load_config
from pipeline.submission import CONFIG_FILE, prepare
from tests.conftest import REPOSITORY

BRIEF = {
    "id": "one",
    "canvas": [64, 64],
    "style": "flat",
    "whole_caption": "an apple",
    "base_caption": "a meadow",
    "layers": [{"caption": "an apple", "box": [10, 10, 50, 50]}],
}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """A configuration that extends another one, with a brief file beside that."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "mine.jsonl").write_text(json.dumps(BRIEF) + "\n")
    (tmp_path / "below" / "base.yaml").write_text("name: base\nseed: 5\nplan:\n  briefs: {path: mine.jsonl}\n")
    (tmp_path / "top.yaml").write_text("extends: below/base.yaml\nname: top\nlayer_flux: {model: simulated}\n")
    return tmp_path / "top.yaml"


def test_the_folder_of_a_job_is_whole_in_itself(config_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    prepare(config_file, ["plan.samples=3"], "s3://bucket/run").write(folder)
    for file in [config_file, *(config_file.parent / "below").iterdir()]:
        file.unlink()
    loaded = load_config(folder / CONFIG_FILE)
    assert (loaded.name, loaded.seed, loaded.plan.samples, loaded.layer_flux.model) == ("top", 5, 3, "simulated")
    assert loaded.plan.briefs.path is not None
    assert json.loads(Path(loaded.plan.briefs.path).read_text()) == BRIEF


def test_a_run_on_ray_joins_the_cluster_of_its_job(config_file: Path) -> None:
    assert prepare(config_file, [], "s3://b/run").config.executor.ray_address == "auto"
    assert prepare(config_file, ["executor.kind=inline"], "s3://b/run").config.executor.ray_address is None


def test_a_local_model_is_named_as_any_folder_would_find_it(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    prepared = prepare(config_file, ["layer_flux.model=weights"], "run")
    assert prepared.config.layer_flux.model == str(tmp_path / "weights")
    assert prepared.place == str(tmp_path / "run")


def test_ids_say_which_run_it_is_and_differ_between_runs(config_file: Path) -> None:
    ids = [
        prepare(config_file, [], place).base_id for place in ("s3://a/Big Run/", "s3://b/Big Run/", "s3://a/Big Run/")
    ]
    assert ids[0] == ids[2] != ids[1]
    assert ids[0].startswith("layerprism-big-run-")


def test_the_command_survives_a_shell(config_file: Path, tmp_path: Path) -> None:
    command = prepare(config_file, [], str(tmp_path / "it's mine; rm -rf $HOME")).command
    echoed = subprocess.run(
        ["sh", "-c", command.replace("exec layerprism", "printf '%s|'")], capture_output=True, text=True
    )
    assert echoed.stdout.split("|")[:4] == ["run", CONFIG_FILE, "--out", str(tmp_path / "it's mine; rm -rf $HOME")]


@pytest.mark.parametrize(
    ("place", "shared"),
    [("s3://b/run", True), ("gs://b/run", True), ("/mnt/run", False), ("file:///run", False), ("memory://run", False)],
)
def test_only_a_store_is_the_same_everywhere(config_file: Path, place: str, shared: bool) -> None:
    assert prepare(config_file, [], place).is_shared is shared


def test_mistakes_are_found_before_anything_is_sent(config_file: Path) -> None:
    with pytest.raises(UserError, match="did you mean `samples`"):
        prepare(config_file, ["plan.sample=3"], "s3://b/run")
    (config_file.parent / "below" / "mine.jsonl").write_text(json.dumps(BRIEF | {"layers": []}) + "\n")
    with pytest.raises(UserError, match="it has no layers"):
        prepare(config_file, [], "s3://b/run")


def test_files_that_are_too_large_are_refused(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MOST_BYTES", 10)
    with pytest.raises(UserError, match="too much to travel with a job"):
        prepare(config_file, [], "s3://b/run")


def test_every_shipped_configuration_can_be_submitted(tmp_path: Path) -> None:
    for name in ("demo.yaml", "quick.yaml"):
        folder = tmp_path / name
        folder.mkdir()
        prepared = prepare(REPOSITORY / "configs" / name, [], "s3://b/run")
        prepared.write(folder)
        assert load_config(folder / CONFIG_FILE).name == prepared.config.name
