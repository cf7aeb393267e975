"""What `make demo` takes after installing: seconds, memory of all processes, samples that pass.

Memory is the sum of PSS over the driver and all its descendants, Ray's included, sampled twice a second; shared pages
count once.

    python -m benchmarks.demo [--config configs/demo.yaml] [--set a.b=c] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from configs import DEMO_CONFIG
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.storage import open_storage
from pipeline.timings import read_timings
from shards.reader import Publication


class MemoryWatch(threading.Thread):
    """Samples the memory of a process and its descendants until that process ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self.peak_bytes = 0
        self.peak_processes = 0

    def run(self) -> None:
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            total = count = 0
            for process in [self._root, *self._root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                    count += 1
                except psutil.Error:  # ended meanwhile
                    continue
            if total > self.peak_bytes:
                self.peak_bytes, self.peak_processes = total, count
            time.sleep(0.5)


def measure(config: Path, overrides: list[str]) -> dict[str, Any]:
    """One run in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", str(config), "--out", str(out)]
        for override in overrides:
            command += ["--set", override]
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        watch = MemoryWatch(process.pid)
        watch.start()
        code = process.wait()
        seconds = time.monotonic() - started
        if code:
            raise SystemExit(f"the run ended with exit code {code}")
        index = RunIndex.load(RunDirectory.open(out).storage)
        published = len(Publication.open(out / "shards").manifest)
        counts = index.counts()
        busy: dict[str, float] = defaultdict(float)
        drawn = 0
        for report in read_timings(open_storage(out))[-1]:
            busy[report.stage] += report.ended - report.started
            drawn += report.items if report.stage == "layer_flux" else 0
        return {
            "samples": len(index),
            "layers": counts.layers,
            "pictures_drawn": drawn,
            "published": published,
            "pass_rate": round(published / len(index), 4),
            "seconds": round(seconds, 1),
            "peak_pss_gib": round(watch.peak_bytes / 1024**3, 2),
            "processes": watch.peak_processes,
            "busy_seconds": {stage: round(value, 1) for stage, value in sorted(busy.items())},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=DEMO_CONFIG)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.config, arguments.overrides)
    table = Table(title=f"{arguments.config.name}; {machine()}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in result.items():
        table.add_row(name, f"{value}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
