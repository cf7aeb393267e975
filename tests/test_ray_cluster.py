"""`ray_cluster.yaml` against the launcher's own checks, offline."""

import copy
import re
from typing import Any

import pytest
import yaml

from layered.errors import UserError
from tests.conftest import REPOSITORY
from tests.deploy.clusters import launcher_machines, require_room


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
    assert types["gpu_spot"]["resources"]["GPU"] == types["gpu_on_demand"]["resources"]["GPU"] == 1


def test_the_launchers_check_would_find_a_mistake() -> None:
    with pytest.raises(ValueError, match="head_node_type"):
        validated(cluster() | {"head_node_type": "hed"})


def test_the_setup_installs_this_project_with_an_extra_that_exists() -> None:
    import tomllib

    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (install,) = [command for command in cluster()["setup_commands"] if "pip install" in command]
    (wanted,) = re.findall(r"'/home/ubuntu/layerprism\[([\w,]+)\]'", install)
    assert {"cluster", "s3"} <= set(wanted.split(",")) <= set(extras)
    assert cluster()["file_mounts"]["/home/ubuntu/layerprism"] == "."


def test_the_head_stays_and_spot_machines_come_first_with_others_behind_them() -> None:
    types = cluster()["available_node_types"]

    def is_spot(name: str) -> bool:
        return types[name]["node_config"].get("InstanceMarketOptions", {}).get("MarketType") == "spot"

    assert [is_spot(name) for name in ("head", "gpu_spot", "gpu_on_demand")] == [False, True, False]
    assert types["gpu_spot"]["max_workers"] > types["gpu_on_demand"]["max_workers"] > 0


def test_workers_may_use_the_bucket_and_nobody_gets_in_without_the_token() -> None:
    config = cluster()
    workers = [kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]]
    assert all(kind["node_config"]["IamInstanceProfile"]["Name"] for kind in workers)
    starts = (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1])
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "/home/ubuntu/.ray/auth_token" in config["file_mounts"]


def test_jobs_find_the_command() -> None:
    """A job inherits the path that its node's Ray was started with."""
    config = cluster()
    assert config["head_start_ray_commands"][-1].startswith("PATH=$HOME/venv/bin:$PATH ")


def test_the_configured_run_fits() -> None:
    require_room(launcher_machines(cluster()))


def test_a_run_that_is_too_large_would_be_found() -> None:
    smaller = cluster()
    for kind in smaller["available_node_types"].values():
        kind["resources"]["CPU"] = 1
    with pytest.raises(UserError, match="the cluster has"):
        require_room(launcher_machines(smaller))
