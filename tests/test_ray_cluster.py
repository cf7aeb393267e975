"""`ray_cluster.yaml` against the launcher's own checks, offline."""

import copy
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY


def validated(config: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def cluster() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / "ray_cluster.yaml").read_text())
    return config


def test_the_launcher_accepts_the_file() -> None:
    config = validated(cluster())
    types = config["available_node_types"]
    assert "GPU" not in types[config["head_node_type"]]["resources"]
    assert types["gpu_worker"]["resources"]["GPU"] == 1


def test_the_launchers_check_would_find_a_mistake() -> None:
    with pytest.raises(ValueError, match="head_node_type"):
        validated(cluster() | {"head_node_type": "hed"})


def test_the_setup_installs_this_project_with_an_extra_that_exists() -> None:
    import tomllib

    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (install,) = [command for command in cluster()["setup_commands"] if "pip install" in command]
    assert "--editable '/home/ubuntu/layerprism[cluster]'" in install
    assert "cluster" in extras
    assert "/home/ubuntu/layerprism" in cluster()["file_mounts"]
