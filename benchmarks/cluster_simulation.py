"""Two hundred thousand designs through the real executor and real files, with a generator that only waits.

The parts come one after the other, each in a process of its own; what is measured is kept in the folder, and the same
command goes on from there, in the middle of a run too: the plan, the run until nine tenths of it, its status, the same
command again (how long until work starts) to its end, its status, the publication, and on other runs the speed of 1,
2, 4 and 8 workers.

    python -m benchmarks.cluster_simulation [--folder DIR] [--samples 200000] [--parts plan run …] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.machine import machine
from benchmarks.simulation_tables import show
from configs import SIMULATION_CONFIG
from ledger.storage import LocalStorage
from pipeline.config import load_config

RESULTS: Final = Path(__file__).parent / "results" / "cluster_simulation.json"
PARTS: Final = ("plan", "run", "status", "resume", "finished_status", "publish", "files", "scaling")
STOP_AT: Final = 0.9
WORKERS: Final = (1, 2, 4, 8)

SCALING_OVERRIDES: Final = (
    "layer_flux.simulated.seconds_per_batch=0.4",  # a full batch takes two seconds: light stages must not be the limit
    "layer_flux.simulated.seconds_per_layer=0.025",
    "layer_flux.simulated.failure_rate=0.0",
)
SCALING_SAMPLES: Final = 350  # for each worker: forty batches of two seconds

Measured = dict[str, Any]


class Simulation:
    """A folder with the run, and what has been measured of it."""

    def __init__(self, folder: Path, samples: int, scaling_samples: int, overrides: list[str]) -> None:
        self.folder, self._scaling_samples = folder, scaling_samples
        self.run = folder / "run"
        self.overrides = [f"plan.samples={samples}", *overrides]
        self._file = folder / "measured.json"
        self.measured: Measured = json.loads(self._file.read_text()) if self._file.exists() else {}
        folder.mkdir(parents=True, exist_ok=True)

    def measure(self, part: str) -> None:
        """Measures a part, unless it was measured before."""
        if part in self.measured:
            return
        started = time.monotonic()
        work: Mapping[str, Callable[[], Any]] = {
            "plan": lambda: drive("plan", self.run, self.overrides),
            "run": self._run,
            "status": lambda: status_of(self.run),
            "resume": lambda: drive("run", self.run, self.overrides),
            "finished_status": lambda: status_of(self.run),
            "publish": lambda: drive("publish", self.run),
            "files": lambda: files_of(self.run),
            "scaling": self._scaling,
        }
        self.measured[part] = work[part]()
        self.measured.setdefault("took_s", {})[part] = time.monotonic() - started
        self._keep()

    def _run(self) -> list[Measured]:
        """The sittings until nine tenths of the chunks are there; more than one where somebody stopped it between."""
        chunks = self.measured["plan"]["chunks"]
        sittings = self.measured.setdefault("sittings", [])
        sittings.append(drive("run", self.run, self.overrides, int(STOP_AT * chunks)))
        return list(sittings)

    def _scaling(self) -> list[Measured]:
        """As much work for each worker, with 1, 2, 4 and 8 of them."""
        rows = []
        for workers in WORKERS:
            run = self.folder / f"scaling-{workers}"
            shutil.rmtree(run, ignore_errors=True)
            samples = f"plan.samples={workers * self._scaling_samples}"
            overrides = [*self.overrides, *SCALING_OVERRIDES, samples, f"executor.workers={workers}"]
            drive("plan", run, overrides)
            rows.append({"workers": workers, **drive("run", run, overrides)})
            shutil.rmtree(run)
        return rows

    def _keep(self) -> None:
        self._file.write_text(json.dumps(self.measured, indent=1) + "\n")


def drive(part: str, run: Path, overrides: list[str] | None = None, until: int | None = None) -> Measured:
    """One part in a process of its own; what it prints is shown, but for its last line, the result."""
    command = [sys.executable, "-m", "benchmarks.simulated_driver", part, str(run)]
    command += [word for override in overrides or [] for word in ("--set", override)]
    command += ["--until", str(until)] if until is not None else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if last:
                print(f"  {last}", flush=True)
            last = line.rstrip()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}; the same command goes on from here")
    result: Measured = json.loads(last)
    return result


def status_of(run: Path) -> list[Measured]:
    """`layerprism status` three times, as a person runs it: seconds, and its own peak memory."""
    command = [str(Path(sys.executable).with_name("layerprism")), "status", str(run)]
    rows = []
    for _ in range(3):
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
        rows.append(
            {
                "wall_s": time.monotonic() - started,
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "peak_rss_bytes": 1024 * usage.ru_maxrss,
            }
        )
    return rows


def files_of(run: Path) -> Measured:
    """Bytes and numbers of the files of a run, by kind."""
    storage = LocalStorage(run)
    sizes = {folder: storage.entries(folder) for folder in ("chunks", "shards", "index", "timings")}
    kinds = {"tars": ("chunks", ".tar"), "records": ("chunks", ".parquet"), "shards": ("shards", ".tar")}
    figures: Measured = {}
    for kind, (folder, ending) in kinds.items():
        found = [entry.size for name, entry in sizes[folder].items() if name.endswith(ending)]
        figures[kind] = {"files": len(found), "bytes": sum(found)}
    for kind in ("index", "timings"):
        figures[kind] = {"files": len(sizes[kind]), "bytes": sum(entry.size for entry in sizes[kind].values())}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/simulation"))
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--scaling-samples", type=int, default=SCALING_SAMPLES, help="for each worker")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--set", action="append", default=[], help="overrides of configs/simulation.yaml")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    simulation = Simulation(arguments.folder, arguments.samples, arguments.scaling_samples, arguments.set)
    config = load_config(SIMULATION_CONFIG, simulation.overrides)
    for part in arguments.parts:
        simulation.measure(part)
    result = {
        "machine": machine(),
        "configuration": {
            "batch_size": config.layer_flux.batch_size,
            "simulated": config.layer_flux.simulated.model_dump(mode="json"),
            "executor": config.executor.model_dump(mode="json"),
            "chunk_layers": config.plan.chunk_layers,
        },
        **simulation.measured,
    }
    show(result, Console(width=120))
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
