"""`layerprism run`: from a configuration to shards, and on from wherever an earlier try got to."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from stages.layer_flux import resolve_defaults

from layered.errors import UserError
from ledger.commit import ChunkRevision, committed
from ledger.run_directory import FINGERPRINT, FINGERPRINT_PARTS, RunDirectory
from pipeline.briefs import BriefList, load_briefs
from pipeline.chunk_flow import LAYER_FLUX, FlowSettings, make_chunk
from pipeline.config import RunConfig
from pipeline.fingerprint import fingerprint
from pipeline.generate import pools_of, run_bounded
from pipeline.plan import ChunkPlan, Plan, extend_plan, make_plan
from pipeline.progress import RunProgress
from pipeline.stage_set import stages_of
from pipeline.timings import timings_log

RECORDED_PACKAGES = (
    "layerprism",
    "torch",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "ray",
    "webdataset",
    "pillow",
)


@dataclass(frozen=True)
class Work:
    """Chunks to be made: whole ones at revision 0, or for a retry the failed samples of some."""

    chunk: ChunkPlan
    revision: int = 0


def prepare(config: RunConfig, out: Path, briefs: BriefList | None = None) -> tuple[RunDirectory, Plan]:
    """Creates the run directory with its plan, opens it where it exists, extends it where more samples are asked for.

    Raises:
        UserError: when the briefs are bad, the folder belongs to something else, or to a run of another fingerprint.
    """
    briefs = briefs or load_briefs(config.plan, config.seed)
    digest, parts = fingerprint(config, briefs)
    info = run_info(config, digest, parts)
    if not (out / "run.json").exists():
        plan = make_plan(config, briefs)
        return RunDirectory.create(out, info, plan.to_bytes()), plan
    run = RunDirectory.open(out)
    run.require_fingerprint(digest, parts)
    old = Plan.read(out / "plan.parquet")
    plan = extend_plan(old, config, briefs)
    if len(plan) > len(old):
        run = run.extend(info, plan.to_bytes())
    return run, plan


def run_info(config: RunConfig, digest: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of a run: configuration, fingerprint, software, models and their licences."""
    resolved = resolve_defaults(config.layer_flux)
    return {
        "config": config.model_dump(mode="json"),
        FINGERPRINT: digest,
        FINGERPRINT_PARTS: dict(parts),
        "software": {name: _version(name) for name in RECORDED_PACKAGES},
        "models": {"layer_flux": {name: getattr(resolved, name) for name in ("model", "revision", "licence")}},
    }


def pending_work(run: RunDirectory, plan: Plan) -> list[int]:
    """The chunks of the plan that no commit exists for."""
    done = {commit.chunk for commit in committed(run.storage) if commit.revision == 0}
    return [index for index in range(plan.chunk_count) if index not in done]


async def generate(run: RunDirectory, works: Sequence[Work], config: RunConfig, console: Console) -> None:
    """Draws, composes, scores and commits chunks; returns when all of them are committed, failures included."""
    if not works:
        return
    settings = FlowSettings(config.seed, config.layer_flux.attempts, resolve_defaults(config.layer_flux).batch_size)
    planned = {work.chunk.index: work.chunk.draws for work in works}
    progress = RunProgress(console, planned, LAYER_FLUX, "layers and base images")
    with timings_log(run.path) as timings, progress.shown():

        def on_batch(report: Any) -> None:
            timings.on_batch(report)
            progress.on_batch(report)

        async with pools_of(config, stages_of(config, run.storage), on_batch) as pools:

            async def make(work: Work) -> None:
                result = await make_chunk(work.chunk, work.revision, pools, settings)
                progress.on_chunk(work.chunk.index)
                for sample_id, failure in result.failures:
                    progress.say(f"sample {sample_id} failed in {failure.stage}: {failure.error}")

            async with progress.watched(config.executor.watchdog_seconds):
                tasks = (functools.partial(make, work) for work in works)
                await run_bounded(tasks, config.executor.chunks_in_flight)


def retry_work(
    plan: Plan, failed: Mapping[int, Sequence[str]], next_revision: Mapping[int, ChunkRevision]
) -> list[Work]:
    """What `layerprism retry` makes: the failed samples of each chunk, as its next revision."""
    return [
        Work(plan.chunk(chunk).only(sample_ids), next_revision[chunk].revision) for chunk, sample_ids in failed.items()
    ]


def require_run(path: Path) -> tuple[RunDirectory, Plan, RunConfig]:
    """An existing run with its plan and the configuration it was made with. Raises UserError when there is none."""
    run = RunDirectory.open(path)
    try:
        config = RunConfig.model_validate_json(_json(run.info["config"]))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}/run.json does not hold a configuration this version reads: {error}") from error
    return run, Plan.read(path / "plan.parquet"), config


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
