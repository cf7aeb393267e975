"""Whether what a run asks for fits onto the machines of a cluster: Ray would wait for ever, without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layered.errors import UserError
from pipeline.pool_spec import PoolSpec

TOLERANCE = 1e-9

Resources = Mapping[str, float]
"""By Ray's names: ``CPU``, ``GPU``."""


@dataclass(frozen=True)
class Machines:
    """A cluster.

    Attributes:
        now: what each machine has.
        later: kinds of machines that an autoscaler may add, and how many of each; -1 is without end.
    """

    now: Sequence[Resources]
    later: Sequence[tuple[Resources, int]] = ()


@dataclass
class _Room:
    """What is left on one machine. A part of a GPU is always a part of one GPU."""

    cpus: float
    gpus: list[float] = field(default_factory=list)

    def take(self, cpus: float, gpus: float) -> bool:
        """Reserves, if there is room."""
        if cpus > self.cpus + TOLERANCE:
            return False
        if gpus < 1:
            chosen = [index for index, left in enumerate(self.gpus) if gpus <= left + TOLERANCE][:1] if gpus else []
        else:
            chosen = [index for index, left in enumerate(self.gpus) if left >= 1 - TOLERANCE][: round(gpus)]
        if len(chosen) < (1 if 0 < gpus < 1 else round(gpus)):
            return False
        for index in chosen:
            self.gpus[index] -= min(gpus, 1)
        self.cpus -= cpus
        return True


def check_reservations(specs: Sequence[PoolSpec], machines: Machines) -> None:
    """Raises UserError when the processes that must fit do not fit, machine by machine."""
    wanted = {spec.name: spec.min_workers or spec.workers for spec in specs}
    everywhere = _rooms(machines, sum(wanted.values()))
    for name, key, has in (
        ("CPU", "cpus", sum(room.cpus for room in everywhere)),
        ("GPU", "gpus", float(sum(len(room.gpus) for room in everywhere))),
    ):
        reserved = {spec.name: getattr(spec, key) * wanted[spec.name] for spec in specs}
        if sum(reserved.values()) > has + TOLERANCE:
            parts = ", ".join(f"{pool} {amount:g}" for pool, amount in reserved.items() if amount)
            raise UserError(
                f"the run reserves {sum(reserved.values()):g} {name}s ({parts}), but the cluster has {has:g}: "
                f"lower executor.workers or executor.{key}_per_worker"
            )
    for spec in sorted(specs, key=lambda spec: (spec.gpus, spec.cpus), reverse=True):
        for placed in range(wanted[spec.name]):
            if not any(room.take(spec.cpus, spec.gpus) for room in everywhere):
                raise UserError(
                    f"a {spec.name} process needs {spec.cpus:g} CPUs and {spec.gpus:g} GPUs on one machine, and the "
                    f"cluster has room for {placed} of {wanted[spec.name]}: lower executor.workers, or what it reserves"
                )


def _rooms(machines: Machines, most: int) -> list[_Room]:
    """Empty machines: those that are there and those that may come, as many as could be of use."""
    kinds = [(resources, 1) for resources in machines.now]
    kinds += [(resources, most if count < 0 else min(count, most)) for resources, count in machines.later]
    return [
        _Room(resources.get("CPU", 0.0), [1.0] * int(resources.get("GPU", 0.0)))
        for resources, count in kinds
        for _ in range(count)
    ]
