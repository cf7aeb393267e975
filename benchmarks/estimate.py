"""How near estimates come to the truth: a trial of a few batches, then the whole run that it speaks of.

The first part is the demo, with the embedded models; the second a part of the simulated 200,000 samples. Each is
estimated by `layerprism estimate`, then run with that forecast. Truth is what the run took from outside: its process's
wall time, the bytes of its chunks and shards on disk, the samples that it published.

    python -m benchmarks.estimate [--parts demo simulation] [--samples 3000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from configs import DEMO_CONFIG
from ledger.run_directory import SHARDS_FOLDER, RunDirectory
from pipeline.estimate import PER_ACCEPTED, QUANTITIES, Range, stored_estimate
from pipeline.estimate_view import amount, duration, span
from pipeline.forecast import truth_of
from pipeline.measurement import span_of
from pipeline.phases import read_phases
from pipeline.run import existing_run
from pipeline.timings import read_timings
from shards.reader import Publication

SIMULATION_CONFIG = DEMO_CONFIG.with_name("simulation.yaml")
LAYERPRISM = (sys.executable, "-c", "from pipeline.cli import main; main()")

FAILED_WORK = 1

PRICES = ("executor.price_per_hour=2.5", "estimate.prices={currency: EUR, light_hour: 0.05, storage_gb_month: 0.02}")
"""Any prices will do: that of a rented GPU, of a core beside it, and of an object store."""


def measure(config: Path, overrides: list[str], batches: int) -> dict[str, Any]:
    """One estimate and one run: forecast, truth and their ratio by quantity."""
    settings = [part for override in (*overrides, *PRICES) for part in ("--set", override)]
    with tempfile.TemporaryDirectory() as folder:
        measured, out = Path(folder) / "measured.json", Path(folder) / "run"
        trial = _timed("estimate", str(config), "--batches", str(batches), "--save", str(measured), *settings)
        forecast = ("--set", f"estimate.measured={measured}")
        wall = _timed("run", str(config), "--out", str(out), *settings, *forecast)
        run = RunDirectory.open(out)
        published = Publication.open(out / SHARDS_FOLDER).sample_ids
        truth = truth_of(run, existing_run(out).config, set(published)) | {
            "seconds": wall,
            "storage_bytes": float(_bytes(out / "chunks") + _bytes(out / SHARDS_FOLDER)),
        }
        estimate = stored_estimate(run)
        phases: dict[str, float] = {phase.name: phase.seconds for phase in read_phases(run.storage)}
        phases["publishing"] += phases.pop("reporting")
        phases["making"] = sum(span_of(reports) for reports in read_timings(run.storage))
    assert estimate is not None
    rows = {}
    for name, expected in estimate.quantities.items():
        rows[name] = _row(expected.model_dump(), truth[name])
    for name in PER_ACCEPTED:
        if name in estimate.per_accepted:
            each = _row(estimate.per_accepted[name].model_dump(), truth[name] / truth["accepted"])
            rows[f"{name}_per_accepted"] = each
    return {
        "config": config.name,
        "overrides": overrides,
        "samples": estimate.planned,
        "trial_batches": batches,
        "trial_seconds": round(trial, 1),
        "busy": round(estimate.busy, 3),
        "light_busy": round(estimate.light_busy, 3),
        "quantities": rows,
        "seconds_of": {
            name: {"expected": round(seconds, 2), "truth": round(phases[name], 2)}
            for name, seconds in estimate.seconds_of.items()
        },
    }


def _row(expected: dict[str, float | None], truth: float) -> dict[str, float | None]:
    mid = expected["mid"]
    return {**expected, "truth": truth, "ratio": round(truth / mid, 4) if mid else None}


def _timed(*arguments: str) -> float:
    """Wall seconds of a command, its start and end included. A run with failed samples (code 1) is a run as well."""
    started = time.monotonic()
    code = subprocess.run([*LAYERPRISM, *arguments], stdout=subprocess.DEVNULL).returncode
    if code not in (0, FAILED_WORK):
        raise SystemExit(f"layerprism {' '.join(arguments)} ended with exit code {code}")
    return time.monotonic() - started


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _table(result: dict[str, Any]) -> Table:
    table = Table(
        "quantity",
        "expected",
        "truth",
        "truth / expected",
        title=f"{result['config']}, {result['samples']} samples, from {result['trial_batches']} batches "
        f"({result['trial_seconds']} s); {machine()}",
    )
    for name, row in result["quantities"].items():
        bare = name.removesuffix("_per_accepted")
        each = " per accepted" if bare != name else ""
        expected = span(bare, Range(low=row["low"], mid=row["mid"], high=row["high"]), "EUR")
        table.add_row(QUANTITIES[bare] + each, expected, amount(bare, row["truth"], "EUR"), f"{row['ratio']:.3f}")
    for name, seconds in result["seconds_of"].items():
        table.add_row(f"of it {name}", duration(seconds["expected"]), duration(seconds["truth"]), "")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("demo", "simulation"), default=["demo", "simulation"])
    parser.add_argument("--samples", type=int, default=3000, help="of the simulation")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    if "demo" in arguments.parts:
        results.append(measure(DEMO_CONFIG, [], 16))
    if "simulation" in arguments.parts:
        results.append(measure(SIMULATION_CONFIG, [f"plan.samples={arguments.samples}"], 64))
    console = Console(width=120)
    for result in results:
        console.print(_table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "runs": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
