"""A pool of Ray actors: as many as there is work and room for, each at work as soon as it is ready.

Work goes to whoever is free, earliest chunk first. An actor that dies or hangs is replaced by a new one, which a
cluster may start on another machine; what it had in hand goes back to whoever decides about faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from layered.errors import FailedWorkError
from pipeline.executor_config import ExecutorConfig
from pipeline.pool_spec import PoolSpec
from pipeline.pools import BatchError
from pipeline.ray_worker import Outcome, RayWorker, Started
from pipeline.retrying import Fault, batch_time_limit

CALLS_IN_FLIGHT = 2
"""Per actor: while it works on one batch the next one already waits at its door, so it never waits for the driver."""

LONGEST_WAIT_FOR_A_NEW_START = 60.0

DEATHS = {
    Fault.WORKER_DIED: "the worker died",
    Fault.WORKER_HUNG: "the worker hung and was killed",
    Fault.WORKER_UNUSABLE: "the worker's GPU failed",
}
"""What a sample's record says; who and where is told to whoever watches the run."""


@dataclass(order=True)
class _Call:
    """A batch that waits for a worker, or is with one.

    Attributes:
        asked: when, on the clock of this process.
        in_hand: whether its worker works on it. One that only waits at the door of a worker that hangs has not been
            tried, and that is no attempt.
        suspected: a worker died that had this call and another, and nobody knows of which.
    """

    chunk: int
    number: int
    stage: str = field(compare=False)
    items: Sequence[Any] = field(compare=False)
    attempt: int = field(compare=False)
    asked: float = field(compare=False)
    done: asyncio.Future[list[Any]] = field(compare=False)
    in_hand: bool = field(default=False, compare=False)
    suspected: bool = field(default=False, compare=False)

    @property
    def wants_to_be_alone(self) -> bool:
        """What may kill its worker has it for itself: no neighbour is blamed, and none dies along."""
        return self.suspected or self.attempt > 1


@dataclass(eq=False)
class _Worker:
    """One actor's life, from its start to its end. A new actor with the same number is another worker.

    Attributes:
        calls: what it has been given, oldest first.
        fault: why it was killed, when it was.
        died_with: how many calls it had when it died.
        clock: ends what takes too long.
        patience: ends what has had nothing to do for too long.
    """

    number: int
    actor: Any = None
    host: str = ""
    ready: bool = False
    calls: list[_Call] = field(default_factory=list)
    fault: Fault = Fault.WORKER_DIED
    died_with: int | None = None
    clock: asyncio.TimerHandle | None = None
    patience: asyncio.TimerHandle | None = None

    def has_room_for(self, call: _Call) -> bool:
        if not self.ready or any(each.wants_to_be_alone for each in self.calls):
            return False
        return len(self.calls) < (1 if call.wants_to_be_alone else CALLS_IN_FLIGHT)


class RayPool:
    """The actors of one `PoolSpec` and the calls that wait for them.

    Args:
        say: takes a line for a person.
    """

    def __init__(self, spec: PoolSpec, config: ExecutorConfig, say: Callable[[str], None]) -> None:
        self._spec, self._config, self._say = spec, config, say
        self._workers: dict[int, _Worker] = {}
        self._waiting: list[_Call] = []
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._longest: dict[str, float] = {}
        self._first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._broken: BaseException | None = None
        self._failed_starts = 0
        self._stopped = False

    async def start(self) -> None:
        """Starts processes, all at once, and returns with the first that has loaded its models.

        Raises:
            UserError, RuntimeError, FailedWorkError: when a stage cannot be set up.
        """
        for _ in range(self._spec.at_first or self._spec.workers):
            self._hire()
        await self._first_ready

    async def call(self, stage: str, chunk: int, items: Sequence[Any], attempt: int) -> list[Any]:
        """The outcome and one reference per item. Raises BatchError, and what ended the pool."""
        if self._broken is not None:
            raise self._broken
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        call = _Call(chunk, next(self._numbers), stage, items, attempt, time.monotonic(), done)
        heapq.heappush(self._waiting, call)
        self._hand_out()
        return await done

    def stop(self) -> None:
        """Ends the actors of this pool, and nothing else."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        for worker in list(self._workers.values()):
            self._dismiss(worker)
        if self._first_ready.done() and not self._first_ready.cancelled():
            self._first_ready.exception()  # taken note of

    def _hand_out(self) -> None:
        """Gives waiting calls to free workers; with more calls than those can take, asks for more workers."""
        while self._waiting and not self._stopped:
            free = [each for each in self._workers.values() if each.has_room_for(self._waiting[0])]
            if not free:
                break
            worker = min(free, key=lambda each: (len(each.calls), each.number))
            call = heapq.heappop(self._waiting)
            if not call.done.done():
                self._give(worker, call)
        starting = sum(not worker.ready for worker in self._workers.values())
        for _ in range(min(len(self._waiting) - starting, self._spec.workers - len(self._workers))):
            self._hire()

    def _give(self, worker: _Worker, call: _Call) -> None:
        if worker.patience is not None:
            worker.patience.cancel()
            worker.patience = None
        worker.calls.append(call)
        self._spawn(self._work(worker, call))
        if len(worker.calls) == 1:
            self._take_in_hand(worker)

    def _take_in_hand(self, worker: _Worker) -> None:
        """The oldest call of a worker is the one it works on: its time runs."""
        if worker.clock is not None:
            worker.clock.cancel()
            worker.clock = None
        loop = asyncio.get_running_loop()
        if worker.calls:
            call = worker.calls[0]
            call.in_hand = True
            limit = batch_time_limit(self._config.batch_timeout_seconds, self._longest.get(call.stage))
            worker.clock = loop.call_later(limit, self._kill_hanging, worker, call, limit)
        elif self._spec.gpus or self._spec.cpus:
            worker.patience = loop.call_later(self._config.idle_seconds, self._give_back, worker)

    async def _work(self, worker: _Worker, call: _Call) -> None:
        import ray

        gone = (
            ray.exceptions.RayActorError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,
        )
        result: list[Any] | Exception
        try:
            result = await _answer(worker.actor, call)
        except gone as death:
            self._mourn(worker, call, death)
            return
        except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as full:
            result = BatchError(f"the object store is full: {_first_line(full)}", fault=Fault.STORE_FULL)
        except Exception as error:
            result = error
        if isinstance(result, BatchError) and result.fault is Fault.WORKER_UNUSABLE:
            worker.fault = Fault.WORKER_UNUSABLE
            self._mourn(worker, call, result)
            return
        worker.calls.remove(call)
        if worker.ready:
            self._take_in_hand(worker)
        if not isinstance(result, Exception):
            outcome: Outcome = result[0]
            seconds = outcome.report.ended - outcome.report.started
            self._longest[call.stage] = max(seconds, self._longest.get(call.stage, 0.0))
            waited = max(0.0, time.monotonic() - call.asked - seconds)
            report = replace(outcome.report, attempt=call.attempt, queue_seconds=waited)
            result[0] = replace(outcome, report=report)
        _settle(call, result)
        self._hand_out()

    def _mourn(self, worker: _Worker, call: _Call, death: Exception) -> None:
        """A call whose worker is gone: what it had in hand has been tried, what waited at its door has not.

        Of two calls with a worker that died, either may have killed it: the answer to the first can be lost when the
        second one ends the process. Both are tried again, each alone.
        """
        if worker.died_with is None:
            worker.died_with = len(worker.calls)
            if worker.died_with > 1 and worker.fault is Fault.WORKER_DIED:
                self._say(
                    f"{self._name(worker)} on {worker.host} died: {_first_line(death)}; its batches are tried again"
                )
        worker.calls.remove(call)
        if worker.died_with > 1 and worker.fault is Fault.WORKER_DIED:
            call.in_hand, call.suspected = False, True
            heapq.heappush(self._waiting, call)
        elif call.in_hand:
            where = f"{self._name(worker)} on {worker.host}: {_first_line(death)}"
            _settle(call, BatchError(DEATHS[worker.fault], fault=worker.fault, where=where))
        else:
            heapq.heappush(self._waiting, call)
        self._dismiss(worker)
        self._hand_out()

    def _dismiss(self, worker: _Worker) -> None:
        import ray

        worker.ready = False
        for timer in (worker.clock, worker.patience):
            if timer is not None:
                timer.cancel()
        if self._workers.get(worker.number) is worker:
            del self._workers[worker.number]
            if worker.actor is not None:
                with contextlib.suppress(Exception):  # Ray may be gone already
                    ray.kill(worker.actor)

    def _give_back(self, worker: _Worker) -> None:
        """Ends a worker that nobody has needed for long: its machine may go."""
        if not worker.calls:
            self._dismiss(worker)

    def _kill_hanging(self, worker: _Worker, call: _Call, limit: float) -> None:
        """No thread can stop a call that hangs on a GPU: the process is killed."""
        import ray

        self._say(f"{self._name(worker)} has worked on a batch of {call.stage} for {limit:g} s: it is killed")
        worker.fault = Fault.WORKER_HUNG
        ray.kill(worker.actor)

    def _hire(self) -> None:
        """Asks Ray for one more process. It may wait for a machine; the others work meanwhile."""
        number = next(number for number in itertools.count() if number not in self._workers)
        worker = _Worker(number)
        self._workers[number] = worker
        self._spawn(self._bring_up(worker))

    async def _bring_up(self, worker: _Worker) -> None:
        import ray

        if self._failed_starts:
            await asyncio.sleep(min(2.0**self._failed_starts, LONGEST_WAIT_FOR_A_NEW_START))
        # Nothing is repeated by Ray: an actor's end is this pool's affair, and attempts are counted per batch.
        remote = ray.remote(RayWorker).options(
            num_cpus=self._spec.cpus, num_gpus=self._spec.gpus, max_restarts=0, max_task_retries=0
        )
        worker.actor = remote.remote(self._name(worker), self._spec.stages)
        try:
            started: Started = await worker.actor.setup.remote()
        except ray.exceptions.RayError as death:
            line = f"{self._name(worker)} died while loading: {_first_line(death)}"
            self._failed_start(worker, line, FailedWorkError(line))
            return
        if (error := started.error) is not None:
            # Where nobody could load yet, it is the configuration or the code; later, it may be the machine.
            ends_the_run = error.fault is Fault.WRONG_INPUT or not self._first_ready.done()
            self._failed_start(worker, f"{self._name(worker)}: {error.error}", error.for_the_run(), ends_the_run)
            return
        self._failed_starts = 0
        worker.host, worker.ready = f"{started.host}:{started.pid}", True
        if not self._first_ready.done():
            self._first_ready.set_result(None)
        self._take_in_hand(worker)
        self._hand_out()

    def _failed_start(self, worker: _Worker, line: str, error: Exception, ends_the_run: bool = False) -> None:
        """Another is started later; unless the configuration is wrong, or nobody is left and it fails every time."""
        self._failed_starts += 1
        self._dismiss(worker)
        nobody = not any(each.ready for each in self._workers.values())
        if ends_the_run or (nobody and self._failed_starts >= self._config.max_attempts * self._spec.workers):
            self._break(error)
            return
        self._say(f"{line}; another is started")
        if not self._first_ready.done():
            self._hire()
        else:
            self._hand_out()

    def _break(self, error: BaseException) -> None:
        """Nothing can be done any more: tells everybody who waits."""
        self._broken = error
        if not self._first_ready.done():
            self._first_ready.set_exception(error)
        for call in (*self._waiting, *(call for worker in self._workers.values() for call in worker.calls)):
            _settle(call, error)
        self._waiting.clear()

    def _name(self, worker: _Worker) -> str:
        return f"{self._spec.name}-{worker.number}"

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)  # a mistake of ours, or stages that cannot be sent to another process


async def _answer(actor: Any, call: _Call) -> list[Any]:
    """The outcome of a call and one reference per item. Raises BatchError, or whatever Ray raises."""
    first, *values = actor.process.options(num_returns=1 + len(call.items)).remote(call.stage, call.chunk, call.items)
    outcome: Outcome = await first
    if outcome.error is not None:
        raise outcome.error
    return [outcome, *values]


def _settle(call: _Call, result: list[Any] | BaseException) -> None:
    """Answers whoever waits for a call, unless they were cancelled meanwhile."""
    if call.done.done():
        return
    if isinstance(result, BaseException):
        call.done.set_exception(result)
    else:
        call.done.set_result(result)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
