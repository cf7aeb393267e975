"""The executor on Ray: pools of actors, work handed out as they become free, nothing lost when one dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from layered.errors import UserError
from pipeline.executor_config import ExecutorConfig
from pipeline.isolation import failed_in, process_isolating
from pipeline.pools import (
    BatchReport,
    Handle,
    StageError,
    StageHost,
    WorkerDiedError,
    generated_pixels,
    handles_in,
    resolved,
)
from stages.stage import Failed, Stage

CALLS_IN_FLIGHT = 2
"""Per actor: while it works on one batch the next one already waits at its door, so it never waits for the driver."""


@dataclass(frozen=True)
class PoolSpec:
    """Some stages that share processes.

    Attributes:
        stages: by name. Each process gets its own copy and sets it up once.
        workers: processes.
        cpus, gpus: what Ray reserves for each of them.
    """

    name: str
    stages: Mapping[str, Stage[Any, Any]]
    workers: int
    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True)
class _Outcome:
    """What comes back from an actor beside the values: who did it when, and which items failed."""

    report: BatchReport
    failures: tuple[Failed | None, ...] = ()
    error: StageError | None = None


class _Worker:
    """One process of a pool: a `StageHost` that follows references and answers with small outcomes."""

    def __init__(self, name: str, stages: Mapping[str, Stage[Any, Any]]) -> None:
        self._name = name
        self._host = StageHost(stages)

    def setup(self) -> StageError | None:
        """Loads all models; what a stage raises is returned, because not every exception survives the journey."""
        try:
            self._host.setup()
        except StageError as error:
            return error
        return None

    def ping(self) -> None:
        """Answers as soon as the process is there."""

    def process(self, stage: str, chunk: int, items: Sequence[Any]) -> list[Any]:
        """The outcome, then one value per item (None where it failed)."""
        import ray

        started = time.time()
        handles = [handle for item in items for handle in handles_in(item) if handle.failed is None]
        values = dict(zip(map(id, handles), ray.get([handle.value for handle in handles]), strict=True))
        try:
            results = self._host.process(stage, [resolved(item, lambda h: values[id(h)]) for item in items])
        except StageError as error:
            report = BatchReport(stage, self._name, chunk, len(items), len(items), started, time.time())
            return [_Outcome(report, error=error), *([None] * len(items))]
        failures = tuple(result if isinstance(result, Failed) else None for result in results)
        failed = sum(failure is not None for failure in failures)
        report = BatchReport(
            stage, self._name, chunk, len(items), failed, started, time.time(), generated_pixels(items)
        )
        kept = [None if isinstance(result, Failed) else result for result in results]
        return [_Outcome(report, failures), *kept]


@dataclass(order=True)
class _Call:
    """A batch that waits for a worker, or is with one.

    Attributes:
        running: whether its worker has it in hand; a call that only waits at the door of a worker that dies has not
            been tried, and does not count as an attempt.
    """

    chunk: int
    number: int
    stage: str = field(compare=False)
    items: Sequence[Any] = field(compare=False)
    done: asyncio.Future[list[Any]] = field(compare=False)
    running: bool = field(default=False, compare=False)


class _Pool:
    """The actors of one `PoolSpec` and the calls that wait for them, earliest chunk first."""

    def __init__(self, spec: PoolSpec) -> None:
        import ray

        # A dead actor is started again and sets its stages up with the next batch. Its calls are not repeated by Ray:
        # attempts are counted per batch, here.
        actor = ray.remote(_Worker).options(num_cpus=spec.cpus, num_gpus=spec.gpus, max_restarts=-1, max_task_retries=0)
        self._actors = [actor.remote(f"{spec.name}-{index}", spec.stages) for index in range(spec.workers)]
        self._waiting: asyncio.PriorityQueue[_Call] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._dispatchers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Loads the models of all processes at once. Raises UserError or RuntimeError when a stage cannot be set up."""
        for error in await asyncio.gather(*(actor.setup.remote() for actor in self._actors)):
            if error is not None:
                raise error.for_the_run()
        for actor in self._actors:
            with_actor: deque[_Call] = deque()
            for _ in range(CALLS_IN_FLIGHT):
                self._dispatchers.append(asyncio.ensure_future(self._dispatch(actor, with_actor)))

    async def call(self, stage: str, chunk: int, items: Sequence[Any]) -> list[Any]:
        """The outcome and one reference per item. Raises StageError or WorkerDiedError."""
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Call(chunk, next(self._numbers), stage, items, done))
        return await done

    async def _dispatch(self, actor: Any, with_actor: deque[_Call]) -> None:
        """Gives an actor one call after the other; `with_actor` holds what it has been given, oldest first."""
        import ray

        results: list[Any] | Exception
        while True:
            call = await self._waiting.get()
            call.running = not with_actor
            with_actor.append(call)
            try:
                results = await _answer(actor, call)
            except ray.exceptions.RayActorError as death:
                with_actor.remove(call)
                if call.running:
                    _settle(call, WorkerDiedError(f"the worker died: {str(death).splitlines()[0]}"))
                else:
                    self._waiting.put_nowait(call)
                await _until_alive(actor)
                continue
            except Exception as error:
                results = error
            with_actor.remove(call)
            if with_actor:
                with_actor[0].running = True
            _settle(call, results)

    def stop(self) -> None:
        """Ends the actors of this pool, and nothing else."""
        import ray

        for dispatcher in self._dispatchers:
            dispatcher.cancel()
        for actor in self._actors:
            ray.kill(actor)


async def _answer(actor: Any, call: _Call) -> list[Any]:
    """The outcome of a call and one reference per item. Raises StageError, or whatever Ray raises."""
    first, *values = actor.process.options(num_returns=1 + len(call.items)).remote(call.stage, call.chunk, call.items)
    outcome: _Outcome = await first
    if outcome.error is not None:
        raise outcome.error
    return [outcome, *values]


async def _until_alive(actor: Any) -> None:
    """Waits until Ray has started a dead actor again."""
    import ray

    while True:
        try:
            await actor.ping.remote()
            return
        except ray.exceptions.RayActorError:
            await asyncio.sleep(0.2)


def _settle(call: _Call, result: list[Any] | Exception) -> None:
    """Answers whoever waits for a call, unless they were cancelled meanwhile."""
    if call.done.done():
        return
    if isinstance(result, Exception):
        call.done.set_exception(result)
    else:
        call.done.set_result(result)


class RayPools:
    """`Pools` of Ray actors. A context manager: leaving it ends its actors, and Ray where it started it.

    Raises:
        UserError: on entering, when the processes that are asked for do not fit into the cluster.
    """

    def __init__(
        self, specs: Sequence[PoolSpec], config: ExecutorConfig, on_batch: Callable[[BatchReport], None]
    ) -> None:
        self._specs, self._config, self._on_batch = specs, config, on_batch
        self._pool_of: dict[str, _Pool] = {}
        self._started_ray = False

    async def __aenter__(self) -> RayPools:
        self._connect()
        try:
            check_reservations(self._specs, _cluster_resources())
            for spec in self._specs:
                pool = _Pool(spec)
                self._pool_of |= dict.fromkeys(spec.stages, pool)
            await asyncio.gather(*(pool.start() for pool in self._pools()))
        except BaseException:
            self._disconnect()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._disconnect()

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        """See `Pools.keep`."""

        async def call(part: Sequence[Any]) -> list[Handle]:
            outcome, *references = await self._call(stage, part, chunk)
            return [Handle(value, failed) for value, failed in zip(references, outcome.failures, strict=True)]

        def failed(item: Any, error: str, trace: str) -> Handle:
            return Handle(None, failed_in(stage, item, error, trace))

        return await process_isolating(call, items, failed, self._config.max_attempts) if items else []

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        """See `Pools.fetch`."""
        handles = await self.keep(stage, items, chunk)
        references = [handle.value for handle in handles if handle.failed is None]
        values = iter(await asyncio.gather(*references))
        return [next(values) if handle.failed is None else handle.failed for handle in handles]

    async def _call(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        results = await self._pool_of[stage].call(stage, chunk, items)
        self._on_batch(results[0].report)
        return results

    def _pools(self) -> list[_Pool]:
        return list(dict.fromkeys(self._pool_of.values()))

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
                address="local",  # one of its own, whatever else runs on this machine
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

        for pool in self._pools():
            pool.stop()
        self._pool_of = {}
        if self._started_ray:
            ray.shutdown()


def check_reservations(specs: Sequence[PoolSpec], available: Mapping[str, float]) -> None:
    """Raises UserError when the pools reserve more than the cluster has: Ray would wait for ever, without a word."""
    for resource, key in (("CPU", "cpus"), ("GPU", "gpus")):
        wanted = {spec.name: getattr(spec, key) * spec.workers for spec in specs}
        if sum(wanted.values()) > available.get(resource, 0) + 1e-9:
            parts = ", ".join(f"{name} {amount:g}" for name, amount in wanted.items() if amount)
            raise UserError(
                f"the run reserves {sum(wanted.values()):g} {resource}s ({parts}), but the cluster has "
                f"{available.get(resource, 0):g}: lower executor.workers or executor.{key}_per_worker"
            )


def _cluster_resources() -> Mapping[str, float]:
    import ray

    resources: Mapping[str, float] = ray.cluster_resources()
    return resources
