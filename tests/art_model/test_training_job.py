"""From a publication to a model that can be sampled, without Ray: caches, adapters, card, pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from art_model.checkpoint import load_art
from art_model.request import Layout, SampleRequest
from art_model.sampling import sample_batch, settings_for
from art_model.train_config import TrainConfig
from art_model.trainer import World
from art_model.training_job import prepare_data, run_training
from layered.box import Box
from layered.errors import UserError
from shards.reader import Publication
from tests.art_model.tiny_publication import tiny_publication


def config_for(publication: Path, model: Path, folder: Path, **more: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "out": str(folder / "out"),
        "model": str(model),
        "data": {"publication": str(publication)},
        "cache": {"folder": str(folder / "cache")},
        "lora": {"rank": 4, "alpha": 4},
        "steps": 2,
        "tokens": 400,
        "validation": {"every": 2, "pictures": 1, "designs": 2, "times": [0.5], "steps": 1},
        "checkpoints": {"every": 1},
    }
    return TrainConfig.model_validate_json(json.dumps(values | more))


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    return tiny_publication(tmp_path_factory.mktemp("publication") / "shards")


def test_shards_become_a_model_that_draws(publication: Publication, art_folder: Path, tmp_path: Path) -> None:
    config = config_for(publication.path, art_folder, tmp_path)
    data = prepare_data(config, "cpu")
    folder = run_training(config, data, World())
    assert folder == tmp_path / "out/model"
    card = (folder / "README.md").read_text()
    assert publication.fingerprint in card
    assert "CC0-1.0" in card
    assert (folder / "adapter/adapter_config.json").is_file()
    assert list((tmp_path / "out/pictures").glob("step-*.png"))

    art = load_art(folder, device="cpu")
    assert (art.settings.name, art.settings.licence) == ("art-plus", "MIT AND CC0-1.0")
    request = SampleRequest("a red circle", Layout((64, 64), (Box(0, 0, 30, 30),)))
    drawn = sample_batch(art, [request], settings_for(art.settings, steps=1))[0]
    start = sample_batch(load_art(art_folder, device="cpu"), [request], settings_for(art.settings, steps=1))[0]
    assert drawn.layers[0].pixels.shape == (30, 30, 4)
    assert drawn.merged is not None
    assert start.merged is not None
    assert not np.array_equal(drawn.merged, start.merged)

    # The folder is found finished by the same command.
    again = run_training(config, prepare_data(config, "cpu"), World())
    assert again == folder

    # Without adapters, from the same cache.
    full = config_for(publication.path, art_folder, tmp_path, out=str(tmp_path / "full"), method="full", steps=1)
    assert run_training(full, data, World()) == tmp_path / "full/model"


def test_mistakes_are_told_before_anything_is_trained(
    publication: Publication, art_folder: Path, tmp_path: Path
) -> None:
    def error_of(**more: Any) -> str:
        with pytest.raises(UserError) as caught:
            prepare_data(config_for(publication.path, art_folder, tmp_path, **more), "cpu")
        return str(caught.value)

    pinned = error_of(data={"publication": str(publication.path), "fingerprint": "0" * 12})
    assert "has changed" in pinned
    nowhere = error_of(validation={"split": "nowhere"})
    assert "validation.split" in nowhere
    assert "validation.every: null" in nowhere
