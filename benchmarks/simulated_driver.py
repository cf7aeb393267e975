"""One sitting of a simulated run's driver, measured from inside: a process of its own, so that nothing else counts.

    python -m benchmarks.simulated_driver plan|run|publish RUN [--until CHUNKS] [--set a.b=c]

`benchmarks.cluster_simulation` starts it. The last line of its output is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console

from configs import SIMULATION_CONFIG
from ledger.commit import committed
from ledger.run_directory import RUN_FILE
from pipeline.briefs import load_briefs
from pipeline.chunk_flow import LAYER_FLUX
from pipeline.config import load_config
from pipeline.pools import BatchReport
from pipeline.publish import publish_session
from pipeline.ray_worker import RayWorker
from pipeline.run import RunSession, existing_run, new_run, read_plan
from pipeline.timings import read_timings

_SECONDS_BETWEEN_LOOKS: Final = 5.0


class ProcessWatch(threading.Thread):
    """Looks at this process's descendants now and then: their CPU time, and the memory (PSS) of the workers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._cpu_seconds: dict[int, tuple[bool, float]] = {}
        self._peak_pss: dict[int, int] = {}
        self._own_peak_pss = 0

    def run(self) -> None:
        me = psutil.Process()
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            self._own_peak_pss = max(self._own_peak_pss, me.memory_full_info().pss)
            for child in me.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    is_worker = child.name().startswith(f"ray::{RayWorker.__name__}")
                    times = child.cpu_times()
                    self._cpu_seconds[child.pid] = is_worker, times.user + times.system
                    if is_worker:
                        pss = child.memory_full_info().pss
                        self._peak_pss[child.pid] = max(pss, self._peak_pss.get(child.pid, 0))

    def figures(self) -> dict[str, Any]:
        """What was seen up to the last look; of Ray's own processes together, of workers the smallest first."""
        return {
            # What is resident counts the whole of the shared object store; this counts this process's part of it.
            "driver_peak_pss_bytes": self._own_peak_pss,
            "workers_cpu_s": sum(used for is_worker, used in self._cpu_seconds.values() if is_worker),
            "ray_cpu_s": sum(used for is_worker, used in self._cpu_seconds.values() if not is_worker),
            "workers_peak_pss_bytes": sorted(self._peak_pss.values()),
        }


def plan(run: Path, overrides: list[str]) -> dict[str, Any]:
    """Makes the run directory with its plan."""
    config = load_config(SIMULATION_CONFIG, overrides)
    cpu, started = _cpu(), time.monotonic()
    session = new_run(run, config, load_briefs(config.plan, config.seed))
    wall, used = time.monotonic() - started, _cpu() - cpu
    planned = read_plan(session.run)
    pictures = sum(planned.draws_per_chunk())
    return {
        "samples": len(planned),
        "pictures": pictures,
        "layers": pictures - len(planned),
        "chunks": planned.chunk_count,
        "batches": planned.batch_count(),
        "batch_fill": pictures / (planned.batch_count() * config.layer_flux.batch_size),
        "wall_s": wall,
        "cpu_s": used,
        "plan_table_bytes": planned.table.nbytes,
        "plan_bytes": len(session.run.storage.read("plan.parquet")),
        "peak_rss_bytes": _peak_rss(),
    }


def run(place: Path, overrides: list[str], until: int | None) -> dict[str, Any]:
    """Drives the run until it is finished, or until so many chunks are committed."""
    watch = ProcessWatch()
    watch.start()
    config = load_config(SIMULATION_CONFIG, overrides)
    briefs = load_briefs(config.plan, config.seed)
    session = new_run(place, config, briefs)
    before = len(committed(session.run.storage))
    with session.driving():
        asyncio.run(_drive(session, briefs, until))
    ended = time.time()
    reports = read_timings(session.run.storage)[-1]
    return {
        "process_started": psutil.Process().create_time(),
        "ended": ended,
        "chunks_before": before,
        "chunks_after": len(committed(session.run.storage)),
        "driver_cpu_s": _cpu(),
        "driver_peak_rss_bytes": _peak_rss(),
        **watch.figures(),
        **generator_figures(reports, config.executor.workers, config.layer_flux.batch_size),
        **stage_figures(reports),
    }


async def _drive(session: RunSession, briefs: Any, until: int | None) -> None:
    making = asyncio.ensure_future(session.make(briefs, Console()))
    while until is not None and not making.done():
        await asyncio.wait([making], timeout=2)
        if len(committed(session.run.storage)) >= until:
            making.cancel()
            break
    with contextlib.suppress(asyncio.CancelledError):
        await making


def generator_figures(reports: list[BatchReport], workers: int, batch_size: int) -> dict[str, Any]:
    """Of the generator's batches: how busy its workers were, how full the batches, how long the tail.

    The tail is the share of the workers' time between the first one's last batch and the end of the last one's.
    """
    batches = [report for report in reports if report.stage == LAYER_FLUX]
    first, last = min(each.started for each in batches), max(each.ended for each in batches)
    ends: dict[str, float] = {}
    for each in batches:
        ends[each.worker] = max(each.ended, ends.get(each.worker, 0.0))
    pictures = sum(each.items for each in batches)
    return {
        "pictures": pictures,
        "batches": len(batches),
        "batch_fill": pictures / (len(batches) * batch_size),
        "mean_batch_s": sum(each.ended - each.started for each in batches) / len(batches),
        "first_batch_started": first,
        "span_s": last - first,
        "pictures_per_s": pictures / (last - first),
        "busy_share": sum(each.ended - each.started for each in batches) / (workers * (last - first)),
        "tail_s": last - min(ends.values()),
        "tail_share": sum(last - end for end in ends.values()) / (workers * (last - first)),
    }


def stage_figures(reports: list[BatchReport]) -> dict[str, Any]:
    """Milliseconds of a worker for each generated picture, by stage."""
    pictures = sum(each.items for each in reports if each.stage == LAYER_FLUX)
    seconds: dict[str, float] = {}
    for each in reports:
        seconds[each.stage] = seconds.get(each.stage, 0.0) + each.ended - each.started
    return {"stage_ms_per_picture": {stage: 1000 * value / pictures for stage, value in seconds.items()}}


def publish(place: Path) -> dict[str, Any]:
    """Publishes the run and writes its report."""
    session = existing_run(place)
    cpu, started = _cpu(), time.monotonic()
    with session.driving():
        published = publish_session(session)
    return {
        "samples": len(published.published.selection.published),
        "shards": len(list((place / "shards").glob("*.tar"))),
        "wall_s": time.monotonic() - started,
        "cpu_s": _cpu() - cpu,
        "peak_rss_bytes": _peak_rss(),
    }


def _cpu() -> float:
    """CPU seconds of this process, Ray's threads in it included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_rss() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["plan", "run", "publish"])
    parser.add_argument("run", type=Path)
    parser.add_argument("--until", type=int)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    match arguments.part:
        case "plan":
            if (arguments.run / RUN_FILE).exists():
                sys.exit(f"{arguments.run} is there already")
            result = plan(arguments.run, arguments.set)
        case "run":
            result = run(arguments.run, arguments.set, arguments.until)
        case _:
            result = publish(arguments.run)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
