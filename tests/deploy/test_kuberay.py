"""The Kubernetes manifests: what KubeRay wants of them, consistent with this project and with each other."""

import re
import tomllib
from typing import Any

import pytest
import typer.main
import yaml

from pipeline.cli import app
from tests.conftest import REPOSITORY
from tests.deploy.clusters import kubernetes_machines, require_room

FOLDER = REPOSITORY / "deploy" / "kuberay"
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def documents(name: str) -> dict[str, dict[str, Any]]:
    """The manifests of a file by their kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))}


def cluster_of(name: str) -> dict[str, Any]:
    found = documents(name)
    spec: dict[str, Any] = (
        found["RayCluster"]["spec"] if "RayCluster" in found else found["RayJob"]["spec"]["rayClusterSpec"]
    )
    return spec


@pytest.fixture(params=["raycluster.yaml", "rayjob.yaml"])
def cluster(request: pytest.FixtureRequest) -> dict[str, Any]:
    return cluster_of(request.param)


def groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def container(group: dict[str, Any]) -> dict[str, Any]:
    (only,) = group["template"]["spec"]["containers"]
    return dict(only)


def test_both_files_describe_the_same_cluster() -> None:
    assert cluster_of("raycluster.yaml") == cluster_of("rayjob.yaml")


def test_the_parts_that_kuberay_requires_are_there(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        assert isinstance(group["rayStartParams"], dict)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert container(group)["name"]
    names = [group["groupName"] for group in cluster["workerGroupSpecs"]]
    assert len(set(names)) == len(names)
    for group in cluster["workerGroupSpecs"]:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_ray_is_the_one_that_the_image_installs(cluster: dict[str, Any]) -> None:
    (pin,) = [line for line in PYPROJECT["optional-dependencies"]["cluster"] if line.startswith("ray[")]
    lower = re.search(r">=([\d.]+)", pin)
    assert lower is not None
    assert cluster["rayVersion"].startswith(f"{lower[1]}.")


def test_every_pod_runs_the_image_of_this_version(cluster: dict[str, Any]) -> None:
    assert {container(group)["image"] for group in groups(cluster)} == {f"REGISTRY/layerprism:{PYPROJECT['version']}"}


def test_only_workers_have_a_gpu_and_requests_are_limits(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"]
        assert ("nvidia.com/gpu" in resources["limits"]) == ("groupName" in group)


def test_the_head_stays_and_spot_machines_are_asked_first(cluster: dict[str, Any]) -> None:
    kinds = [group["template"]["spec"]["nodeSelector"]["eks.amazonaws.com/capacityType"] for group in groups(cluster)]
    assert kinds == ["ON_DEMAND", "SPOT", "ON_DEMAND"]


def test_pods_may_use_the_bucket_and_the_cluster_asks_for_a_token(cluster: dict[str, Any]) -> None:
    account = documents("raycluster.yaml")["ServiceAccount"]["metadata"]["name"]
    assert {group["template"]["spec"]["serviceAccountName"] for group in groups(cluster)} == {account}
    assert cluster["authOptions"] == {"mode": "token"}


def test_the_configured_run_fits(cluster: dict[str, Any]) -> None:
    require_room(kubernetes_machines(cluster))


def test_the_jobs_command_is_one_of_ours_with_a_configuration_of_the_image() -> None:
    job = documents("rayjob.yaml")["RayJob"]["spec"]
    program, name, *arguments = job["entrypoint"].split()
    assert program == "layerprism"
    group: Any = typer.main.get_command(app)
    context = group.commands[name].make_context(name, list(arguments))
    # The folder of the image that holds the checkout.
    (folder,) = re.findall(r"^WORKDIR (.+)$", (REPOSITORY / "deploy" / "Dockerfile").read_text(encoding="utf-8"), re.M)
    assert (REPOSITORY / context.params["config"].relative_to(folder)).is_file()
    assert context.params["out"].startswith("s3://")
    assert job["backoffLimit"] > 0  # a try that was lost is followed by one that resumes


def test_the_image_installs_extras_that_exist_and_copies_what_they_need() -> None:
    text = (REPOSITORY / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (extras,) = re.findall(r"pip install .*'\.\[([\w,]+)\]'", text)
    assert set(extras.split(",")) <= set(PYPROJECT["optional-dependencies"])
    assert {"cluster", "s3"} <= set(extras.split(","))
    version = re.search(r"FROM python:(\d+)\.(\d+)", text)
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (3, 11)
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"models", "configs", "README.md", "LICENSE"} & set(ignored)
