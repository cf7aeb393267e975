"""`layerprism run`: from a configuration to shards, and on from wherever an earlier try got to."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from layered.errors import UserError
from ledger.commit import committed, next_revision
from ledger.garbage import remove_unnamed_chunks
from ledger.index import RunIndex
from ledger.run_directory import FINGERPRINT, FINGERPRINT_PARTS, PLAN_FILE, RUN_FILE, RunDirectory, is_run
from pipeline.briefs import BriefList
from pipeline.chunk_flow import LAYER_FLUX, FlowSettings, make_chunk
from pipeline.config import RunConfig, config_of_values
from pipeline.fingerprint import fingerprint
from pipeline.forecast import forecast_run, measurement_of
from pipeline.plan import ChunkPlan, Plan, extend_plan, make_plan, most_samples
from pipeline.progress import RunProgress
from pipeline.rework import SCORE_AGAIN, rematte, rescore
from pipeline.room import check_room
from pipeline.stage_set import StageSet, stages_of
from pipeline.top_up import next_round, selection_by_filters
from pipeline.workers import run_bounded, working
from stages.layer_flux import resolve_defaults
from stages.matting import resolve_model

RECORDED_PACKAGES = (
    *("layerprism", "torch", "diffusers", "transformers"),
    *("open_clip_torch", "ray", "webdataset", "pillow"),
)

SCORE_IMPORTED = "give --only filters to score them"

REDONE_SECTIONS = ("matting", "text", "compose")
"""Parts of the fingerprint that matting again may change."""


@dataclass(frozen=True)
class Work:
    """A chunk to be made: whole at revision 0, or for a retry the failed samples of it.

    Attributes:
        sample_ids: those to be made; None for all.
    """

    chunk: int
    revision: int = 0
    sample_ids: tuple[str, ...] | None = None

    def of(self, plan: Plan) -> ChunkPlan:
        """What the plan says of it."""
        chunk = plan.chunk(self.chunk)
        return chunk if self.sample_ids is None else chunk.only(self.sample_ids)


@dataclass(frozen=True)
class RunSession:
    """A run directory and the configuration it is driven with. Its methods need `driving`."""

    run: RunDirectory
    config: RunConfig

    def driving(self) -> AbstractContextManager[None]:
        """Holds the run for this process. Raises UserError when another one drives it."""
        return self.run.driving()

    async def make(self, briefs: BriefList, console: Console) -> str:
        """Makes every planned sample that is not committed yet; first plans more where more are asked for.

        With `plan.accepted`, further rounds follow until so many samples pass.

        Returns:
            Why fewer samples than `plan.accepted` pass; empty otherwise.
        """
        info = run_info(self.config, *fingerprint(self.config, briefs))
        shortfall = ""

        def extended(total: int | None = None) -> tuple[Plan, list[Work]]:
            plan = extend_plan(read_plan(self.run), self.config, briefs, total)
            self.run.extend(info, plan.to_bytes())
            forecast_run(self.run, plan, self.config)
            remove_unnamed_chunks(self.run.storage)
            done = {commit.chunk for commit in committed(self.run.storage) if commit.revision == 0}
            images, places = sum(plan.draws_per_chunk()), plan.batch_count() * self.config.layer_flux.batch_size
            console.print(
                f"{len(plan)} samples, {images} layers and base images in {plan.chunk_count} chunks, "
                f"mean batch fill {100 * images / places:.0f} %" + (f"; {len(done)} chunks are done" if done else "")
            )
            return plan, [Work(index) for index in range(plan.chunk_count) if index not in done]

        def topped_up(plan: Plan) -> tuple[Plan, list[Work]]:
            nonlocal shortfall
            if (wanted := self.config.plan.accepted) is None:
                return plan, []
            accepted = len(selection_by_filters(self.run, self.config).published)
            following = next_round(len(plan), accepted, wanted, most_samples(self.config.plan, briefs))
            shortfall = following.shortfall
            if following.total is None:
                return plan, []
            console.print(f"{accepted} of {len(plan)} samples are accepted, {wanted} are wanted: the plan grows")
            return extended(following.total)

        plan, works = extended()
        if not works:
            plan, works = topped_up(plan)
        await generate(self.run, plan, works, self.config, console, then=topped_up)
        return shortfall

    async def again(self, steps: Sequence[str], console: Console) -> None:
        """Scores, or mattes, composes and scores, all finished samples again from what is stored."""
        if tuple(steps) == SCORE_AGAIN:
            count = await rescore(self.run, self.config, console)
        else:
            count = await rematte(self.run, read_plan(self.run), self.config, console)
        console.print(
            f"{count} samples done again" if count else "nothing to do again: it was done with these settings"
        )

    async def retry(self, console: Console) -> None:
        """Makes the failed samples again, each chunk's as its next revision."""
        failed = RunIndex.load(self.run.storage).failed_by_chunk()
        if not failed:
            console.print("no sample has failed: nothing to retry")
            return
        plan = read_plan(self.run)
        works = [
            Work(chunk, next_revision(self.run.storage, chunk).revision, tuple(sample_ids))
            for chunk, sample_ids in failed.items()
        ]
        await generate(self.run, plan, works, self.config, console)


def new_run(out: Path | str, config: RunConfig, briefs: BriefList) -> RunSession:
    """A new run in `out`, or the one that is there, to go on with.

    Raises:
        UserError: when the folder holds something else, or a run of another fingerprint.
    """
    digest, parts = fingerprint(config, briefs)
    measurement_of(config, parts)  # a wrong one is told before anything is written
    patience = config.storage.patience_seconds
    if is_run(out):
        run = RunDirectory.open(out, patience)
        if run.imported is not None:
            raise UserError(f"{out} holds imported samples, which nobody can draw again: {SCORE_IMPORTED}")
        run.require_fingerprint(digest, parts)
    else:
        plan = make_plan(config, briefs)
        run = RunDirectory.create(out, run_info(config, digest, parts), plan.to_bytes(), patience)
    return RunSession(run, config)


def run_again(out: Path | str, config: RunConfig, briefs: BriefList, steps: Sequence[str]) -> RunSession:
    """An existing run whose samples are to be scored or matted again, with the settings of those steps from `config`.

    Args:
        briefs: those of `config`; of no interest to a run of imported samples.

    Raises:
        UserError: when there is no such run, or when anything before those steps differs.
    """
    run = RunDirectory.open(out, config.storage.patience_seconds)
    if run.imported is not None:
        if tuple(steps) != SCORE_AGAIN:
            raise UserError(f"{out} holds imported samples, which were never on a flat background: {SCORE_IMPORTED}")
        return RunSession(run.replace_info({**run.info, "config": config.model_dump(mode="json")}), config)
    digest, parts = fingerprint(config, briefs)
    stored = run.info[FINGERPRINT_PARTS]
    if tuple(steps) == SCORE_AGAIN or _drawn_parts(parts) != _drawn_parts(stored):
        run.require_fingerprint(digest, parts)
    return RunSession(run.replace_info(run_info(config, digest, parts)), config)


def _drawn_parts(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a fingerprint that say what was drawn, as `run.json` would hold them."""
    kept = {name: value for name, value in parts.items() if name.partition(".")[0] not in REDONE_SECTIONS}
    as_stored: dict[str, Any] = json.loads(json.dumps(kept))
    return as_stored


def existing_run(place: Path | str, overrides: Sequence[str] = (), fragment: Path | None = None) -> RunSession:
    """An existing run with the configuration it was last driven with, some of it overridden.

    Args:
        fragment: a configuration file with some values, such as `layerprism calibrate` writes.

    Raises:
        UserError: when there is no run, or when a value that overrides is wrong.
    """
    run = RunDirectory.open(place)
    config = config_of_values(run.info["config"], run.storage.describe(RUN_FILE), overrides, fragment)
    return RunSession(RunDirectory.open(place, config.storage.patience_seconds), config)


def read_plan(run: RunDirectory) -> Plan:
    """The run's plan. Raises UserError when the file is damaged."""
    try:
        return Plan.from_bytes(run.storage.read(PLAN_FILE))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{run.storage.describe(PLAN_FILE)} is damaged ({error}): start a new run") from error


def run_info(config: RunConfig, digest: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of a run: configuration, fingerprint, software, models and their licences."""
    resolved, matting = resolve_defaults(config.layer_flux), resolve_model(config.matting)
    return {
        "config": config.model_dump(mode="json"),
        FINGERPRINT: digest,
        FINGERPRINT_PARTS: dict(parts),
        "software": software_versions(),
        "models": {
            step: {name: getattr(model, name) for name in ("model", "revision", "licence")}
            for step, model in (("layer_flux", resolved), ("matting", matting))
        },
    }


async def generate(
    run: RunDirectory,
    plan: Plan,
    works: Sequence[Work],
    config: RunConfig,
    console: Console,
    stages: StageSet | None = None,
    then: Callable[[Plan], tuple[Plan, Sequence[Work]]] | None = None,
) -> None:
    """Draws, composes, scores and commits chunks; returns when all of them are committed, failures included.

    Args:
        stages: those of the configuration, unless others are to be measured.
        then: what is to be made when all that is committed, by the same workers; no work ends it.
    """
    if not works:
        return
    stages = stages or stages_of(config, run.storage)
    settings = FlowSettings(config.seed, config.layer_flux.attempts, resolve_defaults(config.layer_flux).batch_size)
    pictures = _pictures(plan, works)
    if advice := check_room(run.place, pictures, config):
        console.print(advice, soft_wrap=True)
    progress = RunProgress(console, pictures, LAYER_FLUX, "layers and base images")
    async with working(run, config, stages, progress) as pools:

        async def make(plan: Plan, work: Work) -> None:
            result = await make_chunk(work.of(plan), work.revision, pools, settings)
            progress.on_chunk(work.chunk)
            for sample_id, failure in result.failures:
                progress.say(f"sample {sample_id} failed in {failure.stage}: {failure.error}")

        while works:
            each = (functools.partial(make, plan, work) for work in works)
            await run_bounded(each, config.executor.chunks_in_flight)
            plan, works = then(plan) if then else (plan, ())
            progress.add(_pictures(plan, works))


def _pictures(plan: Plan, works: Sequence[Work]) -> dict[int, int]:
    """What each chunk draws at first."""
    draws = plan.draws_per_chunk()
    return {work.chunk: draws[work.chunk] if work.sample_ids is None else work.of(plan).draws for work in works}


def software_versions() -> dict[str, str]:
    """The installed versions of what a run's bytes may depend on."""
    return {name: _version(name) for name in RECORDED_PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
