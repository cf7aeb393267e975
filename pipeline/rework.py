"""`run --only …`: matting or scoring again from what the chunks hold, without drawing a layer again."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from rich.console import Console

from filters.combined import COMBINED
from layered import UserError
from layered.errors import FailedWorkError
from ledger.commit import ChunkRevision, committed, next_revision
from ledger.index import RunIndex, SampleRecord
from ledger.rescoring import Rescored, ScorePass
from ledger.run_directory import RunDirectory
from pipeline.chunk_flow import FILTERING, commit_chunk, score_and_pack
from pipeline.committing import Commit, CommitEntry
from pipeline.config import RunConfig
from pipeline.fingerprint import matting_parts, model_part
from pipeline.plan import Plan
from pipeline.pools import Pools
from pipeline.progress import RunProgress
from pipeline.recalling import Recalling, RecomposeRequest, Recomposing
from pipeline.stage_set import StageSet, rework_stages
from pipeline.workers import run_bounded, working
from stages.records import Scored
from stages.stage import Failed

REWORKS_FOLDER = "reworks"
SCORE_AGAIN = ("filters",)
MATTE_AGAIN = ("matting", "compose", "filters")

Records = Mapping[ChunkRevision, Sequence[SampleRecord]]


def parse_only(text: str) -> tuple[str, ...]:
    """The steps of `--only`. Raises UserError: what comes after a step follows from it, so none can be left out."""
    steps = tuple(step.strip() for step in text.split(",") if step.strip())
    if steps not in (SCORE_AGAIN, MATTE_AGAIN):
        raise UserError(f"--only {text} is not possible: give {','.join(SCORE_AGAIN)} or {','.join(MATTE_AGAIN)}")
    return steps


async def rescore(run: RunDirectory, config: RunConfig, console: Console) -> int:
    """Scores all finished samples with the filters as they are configured now; returns how many it scored.

    Interrupted, the same command goes on; a second time with the same filter settings, nothing is left to do.
    """
    index = RunIndex.load(run.storage)
    score_pass = ScorePass.begin(run.storage, _scoring(config))
    by_commit: dict[ChunkRevision, list[SampleRecord]] = {}
    for record in index.records():
        if record.failure is None:
            by_commit.setdefault(record.commit, []).append(record)
    pending = {commit: by_commit[commit] for commit in score_pass.pending(by_commit)}

    async def work(commit: ChunkRevision, pools: Pools) -> None:
        composed = await pools.keep(Recalling.name, pending[commit], commit.chunk)
        scored = await pools.fetch(FILTERING, composed, commit.chunk)
        score_pass.write(commit, [_rescored(each) for each in scored])

    await _each_commit(run, config, console, pending, Recalling.name, work)
    return sum(map(len, pending.values()))


async def rematte(run: RunDirectory, plan: Plan, config: RunConfig, console: Console) -> int:
    """Mattes, composes and scores all finished samples again, as new revisions of their chunks; returns how many.

    Resumable like `rescore`. A sample that fails now is kept as failed, with its former revision still in its chunk.
    """
    index = RunIndex.load(run.storage)
    targets = _targets(run, config)
    done = set(committed(run.storage))
    pending: dict[ChunkRevision, list[SampleRecord]] = {}
    for record in index.records():
        target = targets.get(record.commit.chunk)
        if record.failure is None and target is not None and target not in done:
            pending.setdefault(target, []).append(record)

    async def work(commit: ChunkRevision, pools: Pools) -> None:
        chunk = plan.chunk(commit.chunk)
        planned = {sample.sample_id: sample for sample in chunk.samples}
        requests = [
            RecomposeRequest(
                record,
                planned[record.sample_id],
                tuple(text for text in chunk.texts if text.sample_id == record.sample_id),
            )
            for record in pending[commit]
        ]
        composed = await pools.keep(Recomposing.name, requests, commit.chunk)
        packed = await score_and_pack(composed, pools, commit.chunk)
        entries = [
            CommitEntry(each.sample_id, each.planned.brief, handle)
            for each, handle in zip(requests, packed, strict=True)
        ]
        await commit_chunk(Commit(commit, tuple(entries)), pools)

    await _each_commit(run, config, console, pending, Recomposing.name, work)
    return sum(map(len, pending.values()))


def _targets(run: RunDirectory, config: RunConfig) -> dict[int, ChunkRevision]:
    """Which revision this pass makes of each chunk.

    Written down before the work starts: the same command then goes on with the same revisions, and does not repeat a
    pass that is complete. Other settings begin the next pass.
    """
    settings: dict[str, Any] = {name: getattr(config, name).model_dump(mode="json") for name in ("text", "compose")}
    settings["matting"] = matting_parts(config.matting)
    settings["filters"] = _scoring(config)
    passes = [name for name in run.storage.list(REWORKS_FOLDER) if re.fullmatch(rf"{REWORKS_FOLDER}/\d+\.json", name)]
    newest = json.loads(run.storage.read(max(passes))) if passes else None
    if newest is None or newest["settings"] != settings:
        chunks = sorted({commit.chunk for commit in committed(run.storage)})
        revisions = [[chunk, next_revision(run.storage, chunk).revision] for chunk in chunks]
        newest = {"settings": settings, "revisions": revisions}
        document = json.dumps(newest, indent=2, sort_keys=True) + "\n"
        run.storage.write(f"{REWORKS_FOLDER}/{len(passes) + 1:05d}.json", document.encode())
    return {chunk: ChunkRevision(chunk, revision) for chunk, revision in newest["revisions"]}


def _scoring(config: RunConfig) -> dict[str, Any]:
    """The filters' settings that change scores: thresholds and combination do not, they are applied at publication."""
    sections = config.filters.model_dump(mode="json", exclude={COMBINED})
    settings = {
        name: {key: value for key, value in section.items() if key != "threshold"} for name, section in sections.items()
    }
    # A classifier that was trained further in its place is another one.
    settings["artifacts"]["content"] = model_part(str(config.filters.artifacts.location))
    return settings


async def _each_commit(
    run: RunDirectory,
    config: RunConfig,
    console: Console,
    pending: Records,
    counted: str,
    work: Callable[[ChunkRevision, Pools], Awaitable[None]],
) -> None:
    """Does the work for each commit, a few at a time, on workers that load no generator."""
    if not pending:
        return
    planned = {commit.chunk: len(records) for commit, records in pending.items()}
    progress = RunProgress(console, planned, counted, "samples")
    stages = StageSet(generator={}, light=rework_stages(config, run.storage))
    async with working(run, config, stages, progress) as pools:

        async def do(commit: ChunkRevision) -> None:
            await work(commit, pools)
            progress.on_chunk(commit.chunk)

        await run_bounded((functools.partial(do, commit) for commit in pending), config.executor.chunks_in_flight)


def _rescored(scored: Any) -> Rescored:
    if isinstance(scored, Failed):
        raise FailedWorkError(f"sample {scored.sample_id} could not be scored in {scored.stage}: {scored.error}")
    assert isinstance(scored, Scored)
    return Rescored(scored.sample_id, scored.scores, scored.features)
