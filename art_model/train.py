"""Starts a training: in this process, or on Ray one process that encodes the data and then as many as are wanted."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from art_model.train_config import TrainConfig
from art_model.trainer import World
from art_model.training_job import MODEL, TrainingData, device_of, prepare_data, run_training, use_threads
from layered.errors import FailedWorkError, UserError
from layered.torchvision_cure import ensure_torchvision

_RAY_FOLDER = ".ray"
_SECONDS_TO_START = "900"
"""For the processes to load their libraries, on a busy machine and from slow disks."""

_HOURS_TO_WAIT = 4
"""For the first process, which alone validates and writes, before the others give up."""


def launch(config: TrainConfig, say: Callable[[str], None] = print) -> Path:
    """Trains, or goes on, and returns the folder of the model.

    Ray is started on this machine unless it runs already or `workers.address` names a cluster; what was started is shut
    down again. On a cluster, `out`, `cache.folder`, the model and the publication lie on storage that all machines
    share.

    Raises:
        UserError: for wrong input, with the resources that are missing, or damaged data.
        FailedWorkError: when the training failed.
    """
    if config.workers.kind == "inline":
        _train_here(config, say)
    else:
        _train_on_ray(config, say)
    folder = Path(config.out) / MODEL
    say(f"{folder}: layerprism sample --model {folder}")
    return folder


def _train_here(config: TrainConfig, say: Callable[[str], None]) -> None:
    ensure_torchvision()
    use_threads(config)
    device = device_of(config)
    run_training(config, prepare_data(config, device, say), World(device=torch.device(device)), say)


def _train_on_ray(config: TrainConfig, say: Callable[[str], None]) -> None:
    import ray

    started = not ray.is_initialized()
    if started:
        options = {"address": config.workers.address} if config.workers.address else _local_options(config)
        try:
            ray.init(configure_logging=False, log_to_driver=False, **options)
        except Exception as error:  # Ray raises bare ones
            reason = " ".join(str(error).split())
            raise FailedWorkError(f"Ray does not start ({reason}): `workers.kind: inline` goes without") from error
    try:
        _check_resources(config, ray.cluster_resources())
        with _relayed(say) as lines:
            _fit(config, _prepared(config, lines), lines)
    finally:
        if started:
            ray.shutdown()


def _local_options(config: TrainConfig) -> dict[str, Any]:
    # Ray Train's own controller is a process beside the workers and wants a CPU at least nominally.
    cpus = max(os.cpu_count() or 1, config.workers.count * config.workers.cpus + 1)
    return {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 256 * 1024**2}


def _check_resources(config: TrainConfig, there: dict[str, float]) -> None:
    """Asking for more than there is would wait for ever."""
    wanted = {"CPU": config.workers.count * config.workers.cpus, "GPU": config.workers.count * config.workers.gpu}
    for name, count in wanted.items():
        if count > there.get(name, 0):
            raise UserError(
                f"workers want {count} {name}s, Ray has {there.get(name, 0):g}: lower workers.count or workers.cpus"
            )


@contextmanager
def _relayed(say: Callable[[str], None]) -> Iterator[Any]:
    """A queue whose lines are said here, as they come: Ray's own way adds a prefix, and its own log, to each."""
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0})

    def relay() -> None:
        while (line := queue.get()) is not None:
            say(line)

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.put(None)
        thread.join()
        queue.shutdown()


def _prepared(config: TrainConfig, lines: Any) -> TrainingData:
    """Encodes in a process of its own, whose memory is free again when it is done."""
    import ray

    prepare = ray.remote(_prepare).options(
        num_cpus=config.workers.cpus, num_gpus=int(config.workers.gpu), max_retries=0
    )
    try:
        data: TrainingData = ray.get(prepare.remote(config, lines))
    except ray.exceptions.RayTaskError as error:
        raise _plain(error.cause) from None
    return data


def _prepare(config: TrainConfig, lines: Any) -> TrainingData:
    ensure_torchvision()
    use_threads(config)
    return prepare_data(config, device_of(config), lines.put)


def _fit(config: TrainConfig, data: TrainingData, lines: Any) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", _SECONDS_TO_START)
    workers = config.workers
    resources = {"CPU": workers.cpus} | ({"GPU": 1} if workers.gpu else {})
    folder = (Path(config.out) / _RAY_FOLDER).resolve()
    trainer = TorchTrainer(
        _work,
        train_loop_config={"config": config, "data": data, "lines": lines},
        torch_config=TorchConfig(backend="nccl" if workers.gpu else "gloo", timeout_s=_HOURS_TO_WAIT * 3600),
        scaling_config=ScalingConfig(num_workers=workers.count, use_gpu=workers.gpu, resources_per_worker=resources),
        # Our own checkpoints resume exactly; Ray's bookkeeping of a start is not needed after it.
        run_config=RunConfig(name=f"start-{os.getpid()}", storage_path=str(folder)),
    )
    try:
        trainer.fit()
    except Exception as error:
        failures = getattr(error, "worker_failures", None)
        if not failures:
            raise
        raise _plain(failures[min(failures)]) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(settings: dict[str, Any]) -> None:
    """One process that trains."""
    import ray.train
    import ray.train.torch

    ensure_torchvision()
    config: TrainConfig = settings["config"]
    use_threads(config)
    context = ray.train.get_context()
    device: torch.device = ray.train.torch.get_device()
    world = World(context.get_world_rank(), context.get_world_size(), device)
    run_training(config, settings["data"], world, settings["lines"].put)


def _plain(error: BaseException) -> Exception:
    """What a user is told of an error in another process: one line where it is theirs to mend."""
    error = getattr(error, "_base_exc", error)
    kind = UserError if isinstance(error, UserError) else FailedWorkError
    text = str(error) if isinstance(error, UserError | FailedWorkError) else f"{type(error).__name__}: {error}"
    return kind(text)
