"""`layerprism train`: the configuration of a training, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from art_model.train_config import TrainConfig
from models import TINY
from pipeline.config_file import KeyPath, read_config_tree
from pipeline.config_validation import validated
from shards.files import local_path
from stages.layer_flux import EMBEDDED_MODEL

FILE_KEYS: tuple[KeyPath, ...] = (("out",), ("data", "publication"), ("cache", "folder"))
"""Keys whose values are file names relative to the configuration file that they stand in."""


def load_train_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Reads a configuration of a training with absolute paths.

    Raises:
        UserError: for a missing or broken file, an unknown key or a wrong value; key, file and line are named.
    """
    config = validated(TrainConfig, read_config_tree(path, overrides, FILE_KEYS))
    model = TINY if config.model == EMBEDDED_MODEL else Path(config.model)
    return config.model_copy(
        update={
            "model": str(model.resolve()),
            "out": str(Path(config.out).resolve()),
            "data": config.data.model_copy(update={"publication": _resolved(config.data.publication)}),
            "cache": config.cache.model_copy(update={"folder": str(Path(config.cache.folder).resolve())}),
        }
    )


def _resolved(place: str) -> str:
    path = local_path(place)
    return place if path is None else str(path.resolve())
