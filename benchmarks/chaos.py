"""Runs in a storm of faults on a Ray of several nodes: what is lost, doubled or changed, and how much is done twice?

Round after round, a run with the simulated generator is driven by a process of its own while faults hit it at random:
workers, nodes and the driver are killed, workers hang, memory, object store and disk run out, writes tear, samples kill
their workers, a second driver tries to join. The driver is started again whenever it ended. Then the publication must
have the bytes of a run that nothing happened to, every chunk must verify, and every sample must be there once.

    python -m benchmarks.chaos [--faults 200] [--seed 0] [--model simulated|layerprism-tiny] [--json FILE]

With the embedded model the faults are those that change no batch. Rounds that are done are kept in `--folder` and not
done again. A round that fails prints its seed and its faults, and leaves its run where it is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import chaos_driver
from benchmarks.chaos_driver import Tokens
from benchmarks.machine import machine
from configs import DEMO_CONFIG, SIMULATION_CONFIG
from ledger.commit import committed
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.verify import verify_run
from pipeline.chunk_flow import LAYER_FLUX
from pipeline.config import load_config
from pipeline.run import read_plan
from pipeline.timings import read_timings

WORKER_KILLED: Final = "worker killed"
WORKER_HANGS: Final = "worker hangs"
NODE_LOST: Final = "node lost"
DRIVER_KILLED: Final = "driver killed"
SECOND_DRIVER: Final = "second driver"

WEIGHTS: Final[Mapping[str, float]] = {
    WORKER_KILLED: 30,
    NODE_LOST: 10,
    DRIVER_KILLED: 8,
    WORKER_HANGS: 4,
    SECOND_DRIVER: 3,
    chaos_driver.GPU_MEMORY: 12,
    chaos_driver.RAISED: 6,
    chaos_driver.OBJECT_STORE: 6,
    chaos_driver.STORAGE_ERROR: 6,
    chaos_driver.TORN_WRITE: 4,
    chaos_driver.BEFORE_RECORD: 4,
    chaos_driver.AFTER_RECORD: 3,
    chaos_driver.DISK_FULL: 3,
    chaos_driver.POISON: 1,
}
"""How often each fault is drawn."""

CHANGE_A_BATCH: Final = {chaos_driver.GPU_MEMORY, chaos_driver.RAISED, chaos_driver.POISON}

WORKERS: Final = 3
MEAN_BATCHES_BETWEEN_FAULTS: Final = 8.0
"""Of all stages: so that a storm is as dense on a slow machine as on a fast one."""

AT_ONCE: Final = 0.25
"""Share of the faults that follow the one before within a second."""

SECONDS_WITHOUT_PROGRESS: Final = 420.0

SIMULATED: Final = """\
extends: {base}
name: chaos
plan:
  samples: {samples}
  splits: {{train: 0.9, val: 0.1}}
  chunk_layers: 24
  designer: {{canvases: [[256, 256]]}}
layer_flux:
  batch_size: 6
  layer_sizes: [[256, 256]]
  base_sizes: [[256, 256]]
  simulated: {{seconds_per_batch: 0.8, seconds_per_layer: 0, latency_spread: 0.3, failure_rate: 0}}
"""

TINY: Final = """\
extends: {base}
name: chaos with the embedded model
plan: {{samples: {samples}, chunk_layers: 16}}
layer_flux:
  {{steps: 2, batch_size: 4, attempts: 2, accept: {{clip_layer: null, clip_margin: null, alpha_specks: 0.99}}}}
# Two steps draw blurs, quickly; what they look like does not matter here, so everything is published.
filters:
  alpha_empty: &all {{threshold: -1}}
  alpha_rectangle: *all
  alpha_cut: *all
  alpha_holes: *all
  alpha_specks: *all
  alpha_leftover: *all
  alpha_halo: *all
  clip_layer: {{enabled: false, threshold: 0}}
  clip_margin: {{enabled: false, threshold: 0}}
  clip_whole: {{enabled: false, threshold: 0}}
  duplicates: {{enabled: false}}
"""

EXECUTOR: Final = """\
executor:
  kind: ray
  ray_address: "{address}"
  workers: {workers}
  min_workers: 1
  light_workers: 2
  cpus_per_worker: 1
  chunks_in_flight: 3
  max_attempts: {attempts}
  batch_timeout_seconds: {timeout}
"""


class ChaosError(AssertionError):
    """A promise was broken; the message tells the round's seed and its faults."""


@dataclass
class Round:
    """One run in the storm.

    Attributes:
        faults: how many of each kind happened.
        drivers: how often a driver was started.
        planned: pictures of the plan.
        drawn: pictures that were drawn to the end, of all drivers together.
        seconds: from the first driver's start to the publication.
    """

    seed: int
    faults: dict[str, int] = field(default_factory=dict)
    drivers: int = 0
    planned: int = 0
    drawn: int = 0
    chunk_pictures: int = 0
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.faults.values())


class Nodes:
    """A Ray of a head and two nodes with their own object stores, all on this machine."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # a busy machine is slow to start one
        from ray.cluster_utils import Cluster

        # A node that is gone is missed after three seconds instead of a quarter of a minute.
        quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
        # A folder of its own, so that no other program takes it for the cluster it looks for.
        self._folder = tempfile.mkdtemp(prefix="lp-chaos-")
        head = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False, "temp_dir": self._folder}
        self._cluster = Cluster(initialize_head=True, head_node_args=head | {"_system_config": quick})
        self._nodes = [self._add() for _ in range(2)]
        self._due: list[float] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def lose_one(self, rng: random.Random) -> None:
        """Kills a node with all that is on it; another comes some seconds later."""
        if self._nodes:
            node = self._nodes.pop(rng.randrange(len(self._nodes)))
            self._cluster.remove_node(node, allow_graceful=False)
            self._due.append(time.monotonic() + rng.uniform(0, 4))

    def tend(self) -> None:
        """Adds the nodes whose time has come."""
        while self._due and self._due[0] <= time.monotonic():
            self._due.pop(0)
            try:
                self._nodes.append(self._add())
            except Exception:  # Ray raises just that when a node takes long to start: another one is asked for
                self._due.append(time.monotonic() + 5)

    def workers(self, busy: bool = False) -> list[psutil.Process]:
        """The processes of the pools, of all nodes; those that work on a batch."""
        title = "ray::RayWorker.process" if busy else "ray::RayWorker"
        found = []
        for node in (self._cluster.head_node, *self._nodes):
            for info in node.all_processes.get("raylet", ()):
                with suppress(psutil.Error):
                    children = psutil.Process(info.process.pid).children(recursive=True)
                    found += [child for child in children if _title(child).startswith(title)]
        return found

    def shutdown(self) -> None:
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _add(self) -> Any:
        return self._cluster.add_node(wait=False, num_cpus=1, object_store_memory=80 << 20)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@contextmanager
def nodes() -> Iterator[Nodes]:
    """Starts the cluster, and ends it and nothing else."""
    started = Nodes()
    try:
        yield started
    finally:
        started.shutdown()


class Driver:
    """A process that drives the run, started again as often as needed."""

    def __init__(self, config: Path, run: Path, tokens: Tokens) -> None:
        self._arguments = [sys.executable, "-m", "benchmarks.chaos_driver", *map(str, (config, run, tokens.folder))]
        self._run = run
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        self._logs_before = set(self._logs())
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        self._process = self.another(self._output)

    def another(self, output: Any) -> subprocess.Popen[bytes]:
        """A process with the same command."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0"}
        return subprocess.Popen(self._arguments, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def kill(self) -> None:
        self._process.kill()

    def returncode(self) -> int | None:
        return self._process.poll()

    def said(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def works(self) -> bool:
        """Whether a batch is done since it was started."""
        return any(log.stat().st_size for log in self._logs() if log not in self._logs_before)

    def progress(self) -> int:
        """Batches that are done, of all drivers together."""
        return sum(log.read_bytes().count(b"\n") for log in self._logs())

    def _logs(self) -> list[Path]:
        return sorted((self._run / "timings").glob("*.jsonl"))


def storm(round_: Round, faults: int, kinds: Mapping[str, float], cluster: Nodes, config: Path, run: Path) -> None:
    """Drives a run to its end while faults hit it. Raises ChaosError when it ends as it must not, or hangs."""
    rng = random.Random(round_.seed)
    tokens = Tokens(run.with_name(f"{run.name}.tokens"))
    tokens.folder.mkdir(parents=True)
    happened: Counter[str] = Counter()
    started = time.monotonic()
    driver = Driver(config, run, tokens)
    last = (0, time.monotonic())
    next_at = 0.0
    try:
        while True:
            cluster.tend()
            code = driver.returncode()
            if code == 0:
                break
            if code is not None:
                expected = code in (-signal.SIGKILL, 1) or (code == 2 and "has died" in driver.said())
                if not expected:
                    raise ChaosError(f"the driver ended with {code}: {driver.said()[-3000:]}")
                if code == 1 and "same command goes on from here" not in driver.said():
                    raise ChaosError(f"the driver failed without a way out: {driver.said()[-3000:]}")
                driver.start()
            if driver.progress() != last[0]:
                last = driver.progress(), time.monotonic()
            elif time.monotonic() - last[1] > SECONDS_WITHOUT_PROGRESS:
                raise ChaosError(f"no progress: {driver.said()[-3000:]}")
            if driver.works() and happened.total() < faults and driver.progress() >= next_at:
                time.sleep(rng.random())
                more = 0.0 if rng.random() < AT_ONCE else rng.expovariate(1 / MEAN_BATCHES_BETWEEN_FAULTS)
                next_at = driver.progress() + more
                kind = rng.choices(list(kinds), list(kinds.values()))[0]
                happened[kind] += _strike(kind, happened.total(), rng, cluster, driver, tokens)
            time.sleep(0.1)
        happened -= Counter(tokens.untaken())
    except ChaosError as error:
        raise ChaosError(f"seed {round_.seed}, faults so far {dict(happened)}, run {run}: {error}") from None
    finally:
        if driver.returncode() is None:
            driver.kill()
        round_.faults = dict(sorted(happened.items()))
        round_.drivers, round_.seconds = driver.starts, round(time.monotonic() - started, 1)


def _strike(kind: str, number: int, rng: random.Random, cluster: Nodes, driver: Driver, tokens: Tokens) -> int:
    """Brings a fault about; returns 1 if it did."""
    if kind in chaos_driver.TOKENS:
        tokens.put(kind, number)
    elif kind == NODE_LOST:
        cluster.lose_one(rng)
    elif kind == DRIVER_KILLED:
        driver.kill()
        driver._process.wait()
    elif kind == SECOND_DRIVER:
        with tempfile.TemporaryFile() as output:
            second = driver.another(output)
            while second.poll() is None and driver.returncode() is None:
                time.sleep(0.1)
            if driver.returncode() is not None:  # the first has ended meanwhile: there is no second
                second.kill()
                second.wait()
                return 0
            output.seek(0)
            said = output.read().decode()
            if second.returncode != 2 or "driven" not in said:
                raise ChaosError(f"a second driver was not refused but ended with {second.returncode}: {said[-2000:]}")
    else:
        victims = cluster.workers(busy=kind == WORKER_HANGS)
        if not victims:
            return 0
        with suppress(psutil.Error):
            victims[rng.randrange(len(victims))].send_signal(signal.SIGSTOP if kind == WORKER_HANGS else signal.SIGKILL)
    return 1


def published(run: Path) -> dict[str, bytes]:
    """Every file of a run's publication."""
    return {path.name: path.read_bytes() for path in sorted((run / "shards").iterdir()) if path.is_file()}


def chunks(run: Path) -> dict[str, bytes]:
    """Every file of a run's chunks."""
    return {path.name: path.read_bytes() for path in sorted((run / "chunks").iterdir())}


def check(round_: Round, run: Path, reference: Path, same_chunks: bool) -> None:
    """Raises ChaosError unless the run ended as the undisturbed one did, at no more cost than is promised."""
    opened = RunDirectory.open(run)
    plan, index = read_plan(opened), RunIndex.load(opened.storage)
    draws = plan.draws_per_chunk()
    batches = [batch for sitting in read_timings(opened.storage) for batch in sitting if batch.stage == LAYER_FLUX]
    round_.planned, round_.drawn = sum(draws), sum(batch.items - batch.failed for batch in batches)
    round_.chunk_pictures = max(draws)
    problems = [str(problem) for problem in verify_run(run)]
    if published(run) != published(reference):
        problems.append("the publication has other bytes")
    if same_chunks and chunks(run) != chunks(reference):
        problems.append("the chunks have other bytes")
    firsts = [commit.chunk for commit in committed(opened.storage) if commit.revision == 0]
    if firsts != list(range(plan.chunk_count)):
        problems.append(f"chunks {firsts} instead of 0…{plan.chunk_count - 1}")
    if sorted(index.sample_ids) != sorted(plan.table["sample_id"].to_pylist()) or index.failures():
        problems.append("samples are lost or doubled")
    if round_.drawn - round_.planned > round_.count * WORKERS * round_.chunk_pictures:
        problems.append("more was done twice than a chunk for each fault and worker")
    if problems:
        raise ChaosError(f"seed {round_.seed}, faults {round_.faults}, run {run}: {'; '.join(problems[:10])}")


def run_storms(
    faults: int, seed: int, model: str, folder: Path, per_round: int, samples: int, console: Console
) -> list[Round]:
    """Round after round until so many faults have happened. Raises ChaosError."""
    tiny = model != "simulated"
    kinds = {kind: weight for kind, weight in WEIGHTS.items() if not (tiny and kind in CHANGE_A_BATCH)}
    folder.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    with nodes() as cluster:
        config = folder / "config.yaml"
        text = (TINY if tiny else SIMULATED).format(base=DEMO_CONFIG if tiny else SIMULATION_CONFIG, samples=samples)
        # With the embedded model nothing may be halved; batches of bad luck are then tried until it ends.
        executor = EXECUTOR.format(
            address=cluster.address, workers=WORKERS, attempts=40 if tiny else 5, timeout=60 if tiny else 15
        )
        config.write_text(text + executor)
        load_config(config)
        reference = folder / "undisturbed"
        if not (reference / "shards").exists():
            shutil.rmtree(reference, ignore_errors=True)
            storm(Round(-1), 0, kinds, cluster, config, reference)
        while sum(round_.count for round_ in rounds) < faults:
            done = folder / f"round_{len(rounds):03d}.json"
            if done.exists():
                rounds.append(Round(**json.loads(done.read_text())))
                continue
            round_ = Round(seed * 1000 + len(rounds))
            run = folder / f"run_{len(rounds):03d}"
            for leftover in (run, run.with_name(f"{run.name}.tokens")):
                shutil.rmtree(leftover, ignore_errors=True)
            storm(round_, per_round, kinds, cluster, config, run)
            check(round_, run, reference, same_chunks=tiny)
            done.write_text(json.dumps(asdict(round_)) + "\n")
            rounds.append(round_)
            shutil.rmtree(run)
            console.print(f"round {len(rounds)}: {round_}", highlight=False)
    return rounds


def summary(rounds: list[Round], model: str) -> dict[str, Any]:
    """All rounds in numbers."""
    faults: Counter[str] = Counter()
    for round_ in rounds:
        faults.update(round_.faults)
    again = sum(round_.drawn - round_.planned for round_ in rounds)
    return {
        "model": model,
        "rounds": len(rounds),
        "faults": dict(faults.most_common()),
        "faults_in_all": faults.total(),
        "drivers": sum(round_.drivers for round_ in rounds),
        "pictures_planned": sum(round_.planned for round_ in rounds),
        "pictures_drawn_again": again,
        "drawn_again_per_fault": round(again / faults.total(), 2),
        "largest_drawn_again_per_fault_in_a_round": round(
            max((round_.drawn - round_.planned) / round_.count for round_ in rounds), 2
        ),
        "pictures_of_a_chunk": max(round_.chunk_pictures for round_ in rounds),
        "workers": WORKERS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", choices=("simulated", "layerprism-tiny"), default="simulated")
    parser.add_argument("--per-round", type=int, default=25, help="faults of a round at most")
    parser.add_argument("--samples", type=int, default=60, help="of each run")
    parser.add_argument("--folder", type=Path, help="where rounds are kept; by default build/chaos/MODEL_SEED")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order: the cluster is ended, rounds stay
    folder = arguments.folder or Path("build/chaos") / f"{arguments.model}_{arguments.seed}"
    console = Console(width=140)
    rounds = run_storms(
        arguments.faults,
        arguments.seed,
        arguments.model,
        folder.resolve(),
        arguments.per_round,
        arguments.samples,
        console,
    )
    numbers = summary(rounds, arguments.model)
    table = Table(title=f"faults, and what they cost; {machine()}")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in numbers.items():
        for row, figure in value.items() if isinstance(value, dict) else ((name, value),):
            table.add_row(str(row), f"{figure}")
    console.print(table)
    if arguments.json:
        stored = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
        stored = {**stored, "machine": machine(), arguments.model: numbers}
        arguments.json.write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    main()
