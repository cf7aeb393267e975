"""A run beside what was expected of it: the forecast that it starts with, the time left, and the truth at the end."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ledger.index import RunIndex
from ledger.run_directory import FINGERPRINT_PARTS, RunDirectory
from pipeline.chunk_flow import LAYER_FLUX
from pipeline.config import RunConfig
from pipeline.estimate import estimate_plan, price_of, store_estimate, stored_estimate
from pipeline.measurement import Measurement, measured_parts, read_measurement, require_same, span_of, tar_bytes
from pipeline.phases import latest_phase, phase_seconds, read_phases
from pipeline.plan import Plan
from pipeline.timings import read_timings
from shards.tar import is_sample_member


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until all chunks are committed: at the pace of this sitting, or as the forecast has it."""

    seconds: float
    source: Literal["pace", "forecast"]


def measurement_of(config: RunConfig, fingerprint_parts: Mapping[str, Any]) -> Measurement | None:
    """The measurement that `estimate.measured` names; None where it names none.

    Raises:
        UserError: when it is missing, damaged, or one of something else.
    """
    if config.estimate.measured is None:
        return None
    measurement = read_measurement(Path(config.estimate.measured))
    require_same(measurement, measured_parts(fingerprint_parts, config), config.estimate.measured)
    return measurement


def forecast_run(run: RunDirectory, plan: Plan, config: RunConfig) -> None:
    """Keeps what a plan is expected to take, where `estimate.measured` is given and this plan has no forecast yet.

    Raises:
        UserError: when the measurement is missing, damaged, or one of something else.
    """
    if config.estimate.measured is None:
        return
    stored = stored_estimate(run)
    if stored is not None and stored.planned == len(plan):
        return
    measurement = measurement_of(config, run.info[FINGERPRINT_PARTS])
    assert measurement is not None
    preparing = latest_phase(run.storage, "preparing")
    store_estimate(run, estimate_plan(plan, config, measurement, preparing.seconds if preparing else 0.0))


def time_left(run: RunDirectory, pending: int, planned: int, now: float | None = None) -> TimeLeft | None:
    """When all chunks of a run that somebody drives will be there; None where nothing tells.

    Args:
        pending, planned: chunks.
        now: seconds since the epoch.
    """
    starting = latest_phase(run.storage, "starting")
    if pending and starting is not None and starting.pending > pending:
        seconds = (time.time() if now is None else now) - starting.ended
        return TimeLeft(seconds / (starting.pending - pending) * pending, "pace")
    forecast = stored_estimate(run)
    if not pending or forecast is None:
        return None
    return TimeLeft(forecast.seconds_of["making"] * pending / max(planned, 1), "forecast")


def truth_of(run: RunDirectory, config: RunConfig, published: Collection[str]) -> dict[str, float]:
    """What a run took until now, by the names of `estimate.QUANTITIES`; all its sittings together.

    Args:
        published: the samples of the publication.
    """
    phases, sittings = read_phases(run.storage), read_timings(run.storage)
    making = sum(map(span_of, sittings))
    held = phase_seconds(phases, "starting") + making
    seconds = making + sum(phase.seconds for phase in phases)
    if phases and phases[-1].name == "publishing":
        seconds += time.time() - phases[-1].ended  # the report that is being written
    workers = config.executor.workers if config.executor.kind == "ray" else 1
    storage = shards = samples = 0
    commits = set()
    for record in RunIndex.load(run.storage).records():
        samples += 1
        commits.add(record.commit)
        storage += tar_bytes(member.size for member in record.members)
        if record.sample_id in published:
            shards += tar_bytes(member.size for member in record.members if is_sample_member(member.name))
    truth = {
        "seconds": seconds,
        "worker_hours": workers * held / 3600,
        "pictures": float(sum(each.items for reports in sittings for each in reports if each.stage == LAYER_FLUX)),
        "accepted": float(len(published)),
        "storage_bytes": float(storage + shards),
    }
    if config.executor.gpus_per_worker:
        truth["gpu_hours"] = truth["worker_hours"] * config.executor.gpus_per_worker
    price = price_of(config, truth["worker_hours"], storage + shards, shards, len(commits), samples)
    return truth if price is None else truth | {"price": price}
