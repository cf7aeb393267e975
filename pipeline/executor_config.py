"""How a run is executed: settings that change its speed and cost, never its bytes."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class MachineConfig(BaseModel):
    """A kind of machine that the autoscaler of a cluster starts when it is needed.

    Attributes:
        cpus, gpus: what it offers to Ray.
        most: how many of them there may be.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    cpus: float = Field(ge=0)
    gpus: float = Field(0, ge=0)
    most: int = Field(ge=1)


class ExecutorConfig(BaseModel):
    """The `executor` section.

    Attributes:
        kind: ``ray`` for actors on one machine or a cluster, ``inline`` for one process.
        workers: LayerFLUX processes at most. All are started at once, each works as soon as it is ready.
        min_workers: LayerFLUX processes for which the cluster must have room when the run starts; the others join when
            there is room, on spot machines for instance. Null: room for all of `workers`.
        idle_seconds: a process that reserves something and has had nothing to do for so long is ended, for its machine
            to be given back; it is started again when there is work.
        light_workers: processes for matting, checks, composition and filters.
        chunks_in_flight: chunks that are worked on at the same time; bounds memory.
        max_attempts: how often a sample whose worker dies or hangs is tried before it is given up as failed; a sample
            that does it every time costs at most this plus log2(batch) workers.
        batch_timeout_seconds: a process that takes longer for a batch is killed and the batch tried again. Null: ten
            times the longest batch so far of that stage, at least ten minutes; an hour for the first one.
        watchdog_seconds: after this long without a finished batch, "no progress" is reported.
        ray_address: null starts a Ray for this run; ``auto`` joins the cluster of this machine; or an address.
        num_cpus: CPUs given to a Ray that this run starts; null counts the machine's.
        object_store_mb: shared memory of a Ray that this run starts, in MiB.
        cpus_per_worker, gpus_per_worker: what Ray reserves for one LayerFLUX process; a GPU may be shared (0.5).
        cpus_per_light_worker, gpus_per_light_worker: what Ray reserves for one of the other processes. With a part of a
            GPU, matting and filters run on the GPU that a generator leaves some of, where they all fit into its memory.
        machines: kinds of machines that the cluster's autoscaler may add; Ray does not tell. A run that fits neither
            onto what is there nor onto these is refused.
        price_per_hour: price of one LayerFLUX process for one hour, in any currency, for `layerprism plan`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Literal["ray", "inline"] = "ray"
    workers: int = Field(1, ge=1)
    min_workers: int | None = Field(None, ge=1)
    idle_seconds: float = Field(120, gt=0)
    light_workers: int = Field(1, ge=1)
    chunks_in_flight: int = Field(2, ge=1)
    max_attempts: int = Field(3, ge=1)
    batch_timeout_seconds: float | None = Field(None, gt=0)
    watchdog_seconds: float = Field(120, gt=0)
    ray_address: str | None = None
    num_cpus: int | None = Field(None, ge=1)
    object_store_mb: int = Field(256, ge=80)  # Ray refuses to start below 75 MiB
    cpus_per_worker: float = Field(1, ge=0)
    gpus_per_worker: float = Field(0, ge=0)
    cpus_per_light_worker: float = Field(0, ge=0)
    gpus_per_light_worker: float = Field(0, ge=0)
    machines: tuple[MachineConfig, ...] = ()
    price_per_hour: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers {self.min_workers} is more than workers {self.workers}")
        for name in ("gpus_per_worker", "gpus_per_light_worker"):
            gpus = getattr(self, name)
            if gpus > 1 and gpus != int(gpus):
                raise ValueError(f"{name} {gpus:g}: a process has a part of one GPU, or whole ones")
        return self
