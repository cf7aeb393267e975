"""`layerprism estimate`: a plan's cost from a trial of a few batches, a saved measurement, or another run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from layered.errors import UserError
from ledger.run_directory import RunDirectory
from pipeline.briefs import BriefList
from pipeline.config import RunConfig
from pipeline.estimate import Estimate, estimate_plan
from pipeline.fingerprint import fingerprint
from pipeline.measurement import Measurement, measure_run, measured_parts, read_measurement, require_same
from pipeline.plan import Plan, make_plan
from pipeline.run import existing_run, read_plan
from pipeline.trial import try_batches


@dataclass(frozen=True)
class Estimated:
    """A plan, what it takes, and the measurement that tells."""

    plan: Plan
    estimate: Estimate
    measurement: Measurement


def estimate_config(
    config: RunConfig, briefs: BriefList, source: str | None, batches: int, console: Console, began: float
) -> Estimated:
    """What the plan of a configuration takes.

    Args:
        source: a measurement (``.json``) or a run; None tries `batches` batches.
        began: when the command began, in seconds since the epoch: what it did until now, a run would do too.

    Raises:
        UserError: when the source is missing, damaged, or measured something else.
    """
    plan = make_plan(config, briefs)
    preparing = time.time() - began
    if source is None:
        measurement = try_batches(plan, config, briefs, batches, console)
    else:
        parts = fingerprint(config, briefs)[1]
        measurement = read_measurement(Path(source)) if source.endswith(".json") else _of_run(source, config)
        require_same(measurement, measured_parts(parts, config), source)
        if measurement.briefs != parts["briefs"]:
            console.print(f"note: {source} measured other briefs: pass rates and sizes may differ", soft_wrap=True)
    return Estimated(plan, estimate_plan(plan, config, measurement, preparing), measurement)


def _of_run(place: str, config: RunConfig) -> Measurement:
    """A run as a measurement: its workers and files, judged by the filters as they are configured now."""
    run = RunDirectory.open(place)
    if run.imported is not None:
        raise UserError(f"{place} holds imported samples: nothing was drawn there that could be measured")
    driven = existing_run(place).config
    judged = config.model_copy(update={"executor": driven.executor, "keep_raw": driven.keep_raw})
    return measure_run(run, read_plan(run), judged)
