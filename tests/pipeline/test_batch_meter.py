"""A batch's own measure: what it computed, and what it waited for a core."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from pipeline.batch_meter import BatchMeter
from pipeline.pools import BatchReport
from stages.records import Draw


def compute(seconds: float) -> BatchReport:
    meter = BatchMeter("draw", "w-0", 0, [1, 2])
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return meter.report(1)


def test_who_waits_computes_nothing() -> None:
    meter = BatchMeter("draw", "w-0", 3, [], attempt=2)
    time.sleep(0.2)
    report = meter.report(0)
    assert report.ended - report.started >= 0.2
    assert report.cpu_seconds < 0.1
    assert (report.chunk, report.attempt) == (3, 2)


def test_draws_are_counted_by_their_pixels() -> None:
    draws = [Draw("s", index, 0, 1, "a prompt", "a caption", (64, 32)) for index in range(3)]
    report = BatchMeter("layer_flux", "w-0", 0, draws).report(1)
    assert (report.items, report.failed, report.pixels) == (3, 1, 3 * 64 * 32)


def test_waiting_for_a_core_is_told_from_computing() -> None:
    if not Path("/proc/thread-self/schedstat").exists():
        pytest.skip("this system does not tell how long a thread waits for a core")
    core = sorted(os.sched_getaffinity(0))[:1]
    with multiprocessing.get_context("spawn").Pool(2, os.sched_setaffinity, (0, core)) as pool:
        reports = pool.map(compute, [1.0, 1.0], chunksize=1)
    for report in reports:
        # Beside each other on one core, both take longer than a second; alone they would take one.
        assert report.seconds_alone == pytest.approx(report.cpu_seconds, abs=0.25)
    assert sum(report.core_wait_seconds for report in reports) > 0.5
