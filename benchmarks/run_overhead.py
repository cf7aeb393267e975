"""How much of its time a generator works: the executor of a run, with a generator that only waits.

A stand-in for LayerFLUX takes 50 ms for each layer and paints a disc. Everything behind it is real: matting, checks,
composing, filters, encoding, commits; in the rows "cheap" pictures are matted as small as they are and CLIP is left
out, so that two cores can keep up with two generators. The busy share of the generator's workers is the time they spent
in batches over the time from their first batch to their last.

    python -m benchmarks.run_overhead [--workers 2] [--samples 96] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from configs import DEMO_CONFIG
from pipeline.briefs import load_briefs
from pipeline.config import load_config
from pipeline.run import Work, generate, new_run, read_plan
from pipeline.stage_set import StageSet, stages_of
from pipeline.timings import read_timings
from stages.records import Draw, Drawn
from stages.stage import Stage


class FixedLatency(Stage[Draw, Drawn]):
    """A generator that waits, then paints a disc of a colour that follows from the seed."""

    name = "layer_flux"

    def __init__(self, seconds_per_layer: float) -> None:
        self._seconds = seconds_per_layer

    def process(self, batch: Sequence[Draw]) -> list[Any]:
        time.sleep(self._seconds * len(batch))
        return [self._paint(draw, len(batch)) for draw in batch]

    def _paint(self, draw: Draw, batch: int) -> Drawn:
        width, height = draw.size
        y, x = np.mgrid[:height, :width]
        inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (0.4 * min(width, height)) ** 2
        color = np.random.default_rng(draw.seed).integers(0, 256, 3)
        rgb = np.where(inside[..., None], color, 128).astype(np.uint8)
        return Drawn(draw, rgb, (batch, width, height), "fixed latency", "", "")


CHEAP = (
    *("matting.min_side=1", "layer_flux.accept.clip_layer=null", "layer_flux.accept.clip_margin=null"),
    *(f"filters.{name}.enabled=false" for name in ("clip_layer", "clip_margin", "clip_whole")),
)


def measure(workers: int, samples: int, seconds_per_layer: float, behind: str) -> dict[str, Any]:
    """One run; times in seconds. `behind` the generator the stages are ``cheap`` or as the demo has them (``demo``)."""
    overrides = [
        *(CHEAP if behind == "cheap" else ()),
        f"plan.samples={samples}",
        f"executor.workers={workers}",
        # A disc is never what a caption says: without this, every layer would be drawn again.
        "layer_flux.attempts=1",
    ]
    config = load_config(DEMO_CONFIG, overrides)
    with tempfile.TemporaryDirectory() as folder:
        briefs = load_briefs(config.plan, config.seed)
        session = new_run(Path(folder) / "run", config, briefs)
        plan = read_plan(session.run)
        stages = StageSet({"layer_flux": FixedLatency(seconds_per_layer)}, stages_of(config, session.run.storage).light)
        started = time.monotonic()
        with session.driving():
            works = [Work(chunk) for chunk in range(plan.chunk_count)]
            asyncio.run(generate(session.run, plan, works, config, Console(quiet=True), stages))
        wall = time.monotonic() - started
        (reports,) = read_timings(session.run.storage)
    batches = [report for report in reports if report.stage == "layer_flux"]
    span = max(report.ended for report in batches) - min(report.started for report in batches)
    busy = sum(report.ended - report.started for report in batches)
    light = sum(report.ended - report.started for report in reports if report.stage != "layer_flux")
    layers = sum(report.items for report in batches)
    return {
        "behind": behind,
        "workers": workers,
        "layers": layers,
        "batches": len(batches),
        "generator_span_s": round(span, 2),
        "busy_share": round(busy / (workers * span), 4),
        "light_ms_per_layer": round(1000 * light / layers, 2),
        "whole_run_s": round(wall, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--samples", type=int, default=192)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds per layer")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [
        measure(workers, arguments.samples, arguments.latency, behind)
        for behind in ("cheap", "demo")
        for workers in arguments.workers
    ]
    table = Table(title=f"generator of {1000 * arguments.latency:g} ms a layer; {machine()}")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value}" for value in row.values()))
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
