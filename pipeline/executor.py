"""The executor on Ray: pools of actors, work handed out as they become free, nothing lost when one dies."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from layered.errors import FailedWorkError
from pipeline.executor_config import ExecutorConfig, MachineConfig
from pipeline.isolation import process_isolating
from pipeline.lineage import Recipe, with_references
from pipeline.pool_spec import PoolSpec
from pipeline.pools import BatchError, BatchReport, Handle, failed_in, handles_in
from pipeline.ray_pool import RayPool
from pipeline.ray_worker import Outcome
from pipeline.reservations import Machines, check_reservations
from pipeline.retrying import PATIENCE, Fault, FaultReport, RetryPolicy


def _ignored(_: Any) -> None:
    """For those who need not know."""


class RayPools:
    """`Pools` of Ray actors. A context manager: leaving it ends its actors, and Ray where it started it.

    Args:
        on_batch, on_fault: are told of each batch that is done, and of each fault.
        say: takes a line for a person.

    Raises:
        UserError: on entering, when the processes that are asked for do not fit into the cluster.
    """

    def __init__(
        self,
        specs: Sequence[PoolSpec],
        config: ExecutorConfig,
        on_batch: Callable[[BatchReport], None],
        on_fault: Callable[[FaultReport], None] = _ignored,
        say: Callable[[str], None] = _ignored,
    ) -> None:
        self._specs, self._config = specs, config
        self._on_batch, self._on_fault, self._say = on_batch, on_fault, say
        self._policy = RetryPolicy(config.max_attempts)
        self._pools: list[RayPool] = []
        self._pool_of: dict[str, RayPool] = {}
        self._started_ray = False

    async def __aenter__(self) -> RayPools:
        self._connect()
        try:
            check_reservations(self._specs, _machines(self._config.machines))
            # What reserves least starts first: a generator that takes every CPU must not keep the others waiting.
            for spec in sorted(self._specs, key=lambda spec: (spec.gpus, spec.cpus)):
                pool = RayPool(spec, self._config, self._say)
                self._pools.append(pool)
                self._pool_of |= dict.fromkeys(spec.stages, pool)
            await asyncio.gather(*(pool.start() for pool in self._pools))
        except BaseException:
            self._disconnect()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._disconnect()

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        """See `Pools.keep`."""
        if not items:
            return []

        async def call(part: Sequence[Any], attempt: int) -> list[Handle]:
            outcome, *references = await self._call(stage, part, chunk, attempt)
            recipe = Recipe(stage, part, chunk)
            return [
                recipe.result(index, reference) if failed is None else Handle(None, failed)
                for index, (reference, failed) in enumerate(zip(references, outcome.failures, strict=True))
            ]

        def failed(item: Any, error: str, trace: str) -> Handle:
            return Handle(None, failed_in(stage, item, error, trace))

        return await process_isolating(call, items, failed, self._policy, self._on_fault, stage, chunk)

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        """See `Pools.fetch`."""
        handles = await self.keep(stage, items, chunk)
        return list(await asyncio.gather(*(self._value_of(handle) for handle in handles)))

    async def _call(self, stage: str, items: Sequence[Any], chunk: int, attempt: int) -> list[Any]:
        """The outcome and one reference per item. Raises BatchError; lost inputs are there again by then."""
        sent = [with_references(item) for item in items]
        results = await self._pool_of[stage].call(stage, chunk, sent, attempt)
        outcome: Outcome = results[0]
        if outcome.lost:
            handles = [handle for item in items for handle in handles_in(item) if handle.failed is None]
            references = [handle.value for item in sent for handle in handles_in(item)]
            await asyncio.gather(*(self._remake(handles[place], references[place]) for place in outcome.lost))
            raise BatchError(f"{len(outcome.lost)} inputs were lost with a machine", fault=Fault.INPUTS_LOST)
        self._on_batch(outcome.report)
        return results

    async def _value_of(self, handle: Handle) -> Any:
        """What a handle stands for, brought here."""
        import ray

        if handle.failed is not None:
            return handle.failed
        for _ in range(PATIENCE[Fault.INPUTS_LOST]):
            reference = handle.value.reference
            try:
                return await reference
            except ray.exceptions.ObjectLostError:
                await self._remake(handle, reference)
        raise FailedWorkError("results are lost as fast as they are made: the same command goes on from here")

    async def _remake(self, handle: Handle, reference: Any) -> None:
        await handle.value.recipe.remake(handle.value, reference, self.keep)

    def _connect(self) -> None:
        import ray

        if ray.is_initialized():
            return
        # It announces its default, token authentication, as a warning.
        logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
        address = self._config.ray_address
        # One thread per process: two busy processes with two threads each are many times slower on two cores.
        environment = {"env_vars": {"OMP_NUM_THREADS": "1"}}
        if address is not None:
            ray.init(address=address, runtime_env=environment, configure_logging=False, log_to_driver=False)
        else:
            wanted = sum(spec.cpus * spec.workers for spec in self._specs)
            ray.init(
                address="local",  # not the Ray of somebody else that runs on this machine
                num_cpus=self._config.num_cpus or max(os.cpu_count() or 1, int(wanted + 0.999)),
                object_store_memory=self._config.object_store_mb * 1024**2,
                runtime_env=environment,
                include_dashboard=False,
                configure_logging=False,
                log_to_driver=False,
            )
        self._started_ray = True

    def _disconnect(self) -> None:
        import ray

        for pool in self._pools:
            pool.stop()
        self._pools, self._pool_of = [], {}
        if self._started_ray:
            ray.shutdown()


def _machines(to_come: Sequence[MachineConfig]) -> Machines:
    """The cluster as it is, and what its autoscaler may add beyond that."""
    import ray

    now = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return Machines(now, [({"CPU": kind.cpus, "GPU": kind.gpus}, kind.most) for kind in to_come])
