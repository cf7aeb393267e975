"""`layerprism train`: configurations are read relative to their files, checked, and told apart from one another."""

from pathlib import Path

import pytest

from art_model.train_config import TrainConfig
from layered.errors import UserError
from models import TINY
from pipeline.train import load_train_config
from tests.conftest import REPOSITORY

SHIPPED = sorted((REPOSITORY / "configs" / "art_plus").glob("*.yaml"))


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "plus.yaml"
    path.write_text("out: plus\ndata: {publication: ../run}\ncache: {folder: cache}\nsteps: 50\n")
    return path


def test_paths_are_relative_to_the_file_and_the_embedded_model_has_a_name(config_file: Path) -> None:
    config = load_train_config(config_file)
    folder = config_file.parent
    assert config.out == str(folder / "plus")
    assert config.data.publication == str(folder.parent / "run")
    assert config.cache.folder == str(folder / "cache")
    assert config.model == str(TINY.resolve())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert load_train_config(path).steps > 0


def test_there_are_shipped_configurations() -> None:
    assert {path.stem for path in SHIPPED} >= {"demo", "study", "flux_lora", "flux_full"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepz=3", r"unknown key `stepz` in --set .*; did you mean `steps`\?"),
        ("noise.kind=assigned", r"`noise\.kind` in --set .* should be 'independent', 'best_of_k'"),
        ("questions.text_to_layers=0.9", r"the shares of the kinds of questions sum to 1\.2, not to 1"),
        ("schedule.warmup=60", r"schedule\.warmup 60 is above steps 50"),
        ("validation.split=train", r"validation\.split 'train' is what is learnt from"),
        ("workers={kind: inline, count: 2}", r"workers\.kind inline is one process, not 2"),
        ("data.fingerprint=abc", r"`data\.fingerprint` in --set .* is \"abc\""),
    ],
)
def test_a_mistake_is_one_line_with_key_place_and_way_out(config_file: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_train_config(config_file, [override])


def test_what_makes_another_training_is_told_from_what_does_not(config_file: Path) -> None:
    def facts(override: str) -> dict[str, object]:
        config: TrainConfig = load_train_config(config_file, [override])
        return config.of_weights()

    start = facts("name=one")
    for same in ("out=elsewhere", "log.every=1", "checkpoints.keep=5", "validation.every=null", "compile=true"):
        assert facts(same) == start, same
    for other in ("seed=1", "steps=51", "tokens=100", "noise.kind=c2ot", "workers.count=2", "data.samples=5"):
        assert facts(other) != start, other
