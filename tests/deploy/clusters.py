"""The machines that `deploy/` and `ray_cluster.yaml` describe, and whether the shipped run fits onto them."""

from typing import Any

from pipeline.chunk_flow import LAYER_FLUX
from pipeline.config import load_config
from pipeline.pool_spec import PoolSpec
from pipeline.reservations import Machines, check_reservations
from tests.conftest import REPOSITORY


def kubernetes_machines(cluster: dict[str, Any]) -> Machines:
    """What a RayCluster's pods offer: the head, and what its groups may grow to."""

    def resources(group: dict[str, Any]) -> dict[str, float]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        cpus = group["rayStartParams"].get("num-cpus", limits["cpu"])
        return {"CPU": float(cpus), "GPU": float(limits.get("nvidia.com/gpu", 0))}

    later = [(resources(group), int(group["maxReplicas"])) for group in cluster["workerGroupSpecs"]]
    return Machines([resources(cluster["headGroupSpec"])], later)


def launcher_machines(cluster: dict[str, Any]) -> Machines:
    """What a file of the cluster launcher describes."""
    types = dict(cluster["available_node_types"])
    head = types.pop(cluster["head_node_type"])
    later = [(kind["resources"], min(kind["max_workers"], cluster["max_workers"])) for kind in types.values()]
    return Machines([head["resources"]], later)


def require_room(machines: Machines) -> None:
    """Raises UserError unless `configs/cluster.yaml` fits; AssertionError where it promises itself other machines."""
    config = load_config(REPOSITORY / "configs" / "cluster.yaml").executor
    specs = [
        PoolSpec(LAYER_FLUX, {}, config.workers, config.cpus_per_worker, config.gpus_per_worker),
        PoolSpec("light", {}, config.light_workers, config.cpus_per_light_worker, config.gpus_per_light_worker),
    ]
    check_reservations(specs, machines)
    for promised in config.machines:
        assert any(
            promised.cpus <= resources["CPU"] and promised.gpus <= resources["GPU"] and promised.most <= count
            for resources, count in machines.later
        ), promised
    # What the run believes of itself, with the head alone there, is enough too.
    believed = [({"CPU": kind.cpus, "GPU": kind.gpus}, kind.most) for kind in config.machines]
    check_reservations(specs, Machines(machines.now, believed))
