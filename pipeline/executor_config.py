"""How a run is executed: settings that change its speed and cost, never its bytes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ExecutorConfig(BaseModel):
    """The `executor` section.

    Attributes:
        kind: ``ray`` for actors on one machine or a cluster, ``inline`` for one process.
        workers: LayerFLUX processes.
        light_workers: processes for matting, checks, composition and filters.
        chunks_in_flight: chunks that are worked on at the same time; bounds memory.
        max_attempts: how often a batch is tried when its worker dies before its samples are given up as failed.
        watchdog_seconds: after this long without a finished batch, "no progress" is reported.
        ray_address: null starts a Ray for this run; ``auto`` joins the cluster of this machine; or an address.
        num_cpus: CPUs given to a Ray that this run starts; null counts the machine's.
        object_store_mb: shared memory of a Ray that this run starts, in MiB.
        cpus_per_worker, gpus_per_worker: what Ray reserves for one LayerFLUX process; a GPU may be shared (0.5).
        cpus_per_light_worker: what Ray reserves for one of the other processes.
        price_per_hour: price of one LayerFLUX process for one hour, in any currency, for `layerprism plan`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Literal["ray", "inline"] = "ray"
    workers: int = Field(1, ge=1)
    light_workers: int = Field(1, ge=1)
    chunks_in_flight: int = Field(2, ge=1)
    max_attempts: int = Field(3, ge=1)
    watchdog_seconds: float = Field(120, gt=0)
    ray_address: str | None = None
    num_cpus: int | None = Field(None, ge=1)
    object_store_mb: int = Field(256, ge=80)  # Ray refuses to start below 75 MiB
    cpus_per_worker: float = Field(1, ge=0)
    gpus_per_worker: float = Field(0, ge=0)
    cpus_per_light_worker: float = Field(0, ge=0)
    price_per_hour: float | None = Field(None, ge=0)
