"""A few real batches of a plan, made by the real stages and workers in a scratch folder, to be measured."""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from layered.errors import FailedWorkError
from ledger.run_directory import RunDirectory
from pipeline.briefs import BriefList
from pipeline.config import RunConfig
from pipeline.fingerprint import fingerprint
from pipeline.measurement import Measurement, measure_run
from pipeline.phases import latest_phase
from pipeline.plan import Plan, plan_of
from pipeline.publish import publish_session
from pipeline.run import RunSession, Work, generate, run_info
from stages.layer_flux import resolve_defaults

LEAST_CHUNKS = 6
"""Chunks of a trial, where there are batches enough: what is done once a chunk is measured as often."""


def try_batches(plan: Plan, config: RunConfig, briefs: BriefList, batches: int, console: Console) -> Measurement:
    """Makes about so many full batches of a plan's own samples, evenly from all over it, and publishes them.

    Workers, chunks in flight and stages are those of the configuration; only chunks are shorter.

    Raises:
        UserError: as a run does, when a model is missing or the cluster too small.
    """
    trial = trial_plan(plan, config, briefs, batches)
    console.print(f"trying {len(trial)} of {len(plan)} samples: {sum(trial.draws_per_chunk())} pictures")
    with tempfile.TemporaryDirectory(prefix="layerprism-trial-") as folder:
        run = RunDirectory.create(
            Path(folder) / "run", run_info(config, *fingerprint(config, briefs)), trial.to_bytes()
        )
        with run.driving():
            works = [Work(index) for index in range(trial.chunk_count)]
            asyncio.run(generate(run, trial, works, config, console))
            session = RunSession(run, config)
            try:
                publish_session(session)
            except FailedWorkError:  # nothing passes, so nothing is published
                return measure_run(run, trial, config)
            measured = measure_run(run, trial, config)
            return measured.model_copy(update=_publishing_again(session, measured))


def _publishing_again(session: RunSession, measured: Measurement) -> dict[str, float]:
    """Tells what a publication takes once from what it takes for each sample: under another name it is all new."""
    renamed = session.config.model_copy(update={"name": f"{session.config.name} again"})
    publish_session(RunSession(session.run, renamed))
    again = latest_phase(session.run.storage, "publishing")
    assert again is not None
    first = measured.publishing * measured.samples
    return {
        "publishing": min(first, again.seconds) / measured.samples,
        "publishing_once": max(0.0, first - again.seconds),
    }


def trial_plan(plan: Plan, config: RunConfig, briefs: BriefList, batches: int) -> Plan:
    """Samples for so many batches, evenly from all over a plan, in chunks of their own."""
    batch_size = resolve_defaults(config.layer_flux).batch_size
    draws = batches * batch_size
    mean_draws = sum(plan.draws_per_chunk()) / len(plan)
    count = min(len(plan), max(1, math.ceil(draws / mean_draws)))
    places = np.unique(np.linspace(0, len(plan) - 1, count).round().astype(int))
    indices = plan.table["index"].to_numpy()[places].tolist()
    chunk_layers = min(config.plan.chunk_layers, max(2 * batch_size, math.ceil(draws / LEAST_CHUNKS)))
    shorter = config.model_copy(update={"plan": config.plan.model_copy(update={"chunk_layers": chunk_layers})})
    return plan_of(shorter, briefs, indices)
