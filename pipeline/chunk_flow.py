"""How one chunk goes through the stages: draw, matte, check, draw again what failed, compose, score, encode, commit.

The same coroutine drives one process or a cluster. It sees handles and small records, never an image, and everything it
decides follows from the plan and from scores, so that its commits have the same bytes however many workers there are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from layered.errors import FailedWorkError
from layered.seeds import derive_seed
from ledger.commit import ChunkRevision
from pipeline.committing import Commit, CommitEntry, Committed
from pipeline.plan import ChunkPlan, PlannedSample
from pipeline.pools import Handle, Pools
from stages.records import BASE_IMAGE, CheckedLayer, Composition, Draw
from stages.stage import Failed

LAYER_FLUX = "layer_flux"
MATTING = "matting"
LAYER_CHECK = "layer_check"
TEXT_LAYER = "text_layer"
MULTI_LAYER_FLUX = "multi_layer_flux"
FILTERING = "filtering"
PACKING = "packing"
COMMITTING = "committing"

Place = tuple[str, int]
"""(sample id, layer index): one picture of the chunk."""


@dataclass(frozen=True)
class FlowSettings:
    """What the flow needs of a run's configuration.

    Attributes:
        seed: the run's seed, from which the seeds of further attempts derive.
        attempts: how often a layer is drawn at most.
        batch_size: layers drawn together in a further attempt.
    """

    seed: int
    attempts: int
    batch_size: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """One attempt at one picture: the matted layer, or the drawn base image, and the check's verdict on it."""

    picture: Handle
    check: CheckedLayer | None = None


async def make_chunk(chunk: ChunkPlan, revision: int, pools: Pools, settings: FlowSettings) -> Committed:
    """Makes all samples of a chunk and commits them.

    Args:
        chunk: the plan's chunk, or for a retry the part of it that failed.
        revision: 0, or the number of the retry.

    Returns:
        What was committed. Samples that failed are in it, with the reason; nothing is dropped.
    """
    texts = asyncio.ensure_future(pools.keep(TEXT_LAYER, chunk.texts, chunk.index))
    attempts, failures = await draw_layers(chunk, pools, settings)
    pictures = {place: best_of(candidates).picture for place, candidates in attempts.items() if candidates}
    for request, handle in zip(chunk.texts, await texts, strict=True):
        pictures[request.sample_id, request.layer_index] = handle
        if handle.failed is not None:
            failures[request.sample_id, request.layer_index] = handle.failed
    failed = _first_by_sample(failures)
    complete = [sample for sample in chunk.samples if sample.sample_id not in failed]
    compositions = [compose_request(sample, pictures, attempts) for sample in complete]
    composed = await pools.keep(MULTI_LAYER_FLUX, compositions, chunk.index)
    packed = await score_and_pack(composed, pools, chunk.index)
    by_sample = {sample.sample_id: handle for sample, handle in zip(complete, packed, strict=True)}
    by_sample |= {sample_id: Handle(None, failure) for sample_id, failure in failed.items()}
    drawn_from = {(draw.sample_id, draw.layer_index): draw for batch in chunk.batches for draw in batch}
    entries = [
        CommitEntry(
            sample.sample_id,
            sample.brief,
            by_sample[sample.sample_id],
            inputs_of(failed.get(sample.sample_id), drawn_from),
        )
        for sample in chunk.samples
    ]
    return await commit_chunk(Commit(ChunkRevision(chunk.index, revision), tuple(entries)), pools)


async def score_and_pack(composed: Sequence[Handle], pools: Pools, chunk: int) -> list[Handle]:
    """Filters and encodes composed samples; used alike for new samples and for those composed again."""
    scored = await pools.keep(FILTERING, composed, chunk)
    return await pools.keep(PACKING, list(zip(composed, scored, strict=True)), chunk)


async def commit_chunk(commit: Commit, pools: Pools) -> Committed:
    """Writes a chunk's tar and record. Raises FailedWorkError when that fails: there is no sample to blame for it."""
    (committed,) = await pools.fetch(COMMITTING, [commit], commit.revision.chunk)
    if isinstance(committed, Failed):
        raise FailedWorkError(
            f"chunk {commit.revision.name} could not be written: {committed.error}. The same command goes on from here"
        )
    assert isinstance(committed, Committed)
    return committed


async def draw_layers(
    chunk: ChunkPlan, pools: Pools, settings: FlowSettings
) -> tuple[dict[Place, list[Candidate]], dict[Place, Failed]]:
    """Draws every picture of a chunk, and those that fail their check again, up to `attempts` times.

    Further attempts are batched by (size, sample, layer) over the whole chunk once an attempt is complete, so that the
    batches depend on verdicts alone and never on which batch came back first.
    """
    candidates: dict[Place, list[Candidate]] = {
        (draw.sample_id, draw.layer_index): [] for batch in chunk.batches for draw in batch
    }
    failures: dict[Place, Failed] = {}
    batches: Sequence[Sequence[Draw]] = chunk.batches
    for attempt in range(1, settings.attempts + 1):
        drawn = await asyncio.gather(*(draw_batch(batch, pools, chunk.index) for batch in batches))
        again = []
        for draw, outcome in (pair for results in drawn for pair in results):
            place = draw.sample_id, draw.layer_index
            if isinstance(outcome, Failed):
                failures.setdefault(place, outcome)
                continue
            candidates[place].append(outcome)
            if outcome.check is not None and not outcome.check.passed:
                seed = derive_seed(settings.seed, *place, attempt, "noise")
                again.append(draw.with_attempt(attempt, seed))
        if not again or attempt == settings.attempts:
            break
        batches = batches_by_size(again, settings.batch_size)
    # A picture that could be made once is made: only a place without any candidate has failed.
    return candidates, {place: failure for place, failure in failures.items() if not candidates[place]}


async def draw_batch(batch: Sequence[Draw], pools: Pools, chunk: int) -> list[tuple[Draw, Candidate | Failed]]:
    """Draws, mattes and checks one batch; base images have no background to remove and nothing to check."""
    drawn = await pools.keep(LAYER_FLUX, batch, chunk)
    layers = [index for index, draw in enumerate(batch) if draw.layer_index != BASE_IMAGE]
    matted = await pools.keep(MATTING, [drawn[index] for index in layers], chunk) if layers else []
    checked = await pools.fetch(LAYER_CHECK, matted, chunk) if layers else []
    outcomes: list[Candidate | Failed] = [handle.failed or Candidate(handle) for handle in drawn]
    for index, handle, check in zip(layers, matted, checked, strict=True):
        failed = handle.failed or (check if isinstance(check, Failed) else None)
        outcomes[index] = failed or Candidate(handle, check)
    return list(zip(batch, outcomes, strict=True))


def batches_by_size(draws: Sequence[Draw], batch_size: int) -> list[tuple[Draw, ...]]:
    """Draws of equal size in batches, ordered by size, sample and layer."""
    ordered = sorted(draws, key=lambda draw: (draw.size, draw.sample_id, draw.layer_index))
    groups = (tuple(group) for _, group in groupby(ordered, lambda draw: draw.size))
    return [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """The attempt with the highest quality; a passed one before any other, the earliest of equals."""

    def rank(candidate: Candidate) -> tuple[bool, float]:
        check = candidate.check
        return (check.passed, check.quality) if check is not None else (True, 0.0)

    return max(candidates, key=rank)


def compose_request(
    sample: PlannedSample, pictures: Mapping[Place, Handle], attempts: Mapping[Place, Sequence[Candidate]]
) -> Composition:
    """What MultiLayerFLUX needs for one sample, with handles where images will be."""
    indices = range(len(sample.brief.layers))
    layers: Any = tuple(pictures[sample.sample_id, index] for index in indices)
    base: Any = pictures[sample.sample_id, BASE_IMAGE]
    checks = [
        candidate.check
        for index in indices
        for candidate in attempts.get((sample.sample_id, index), ())
        if candidate.check is not None
    ]
    return Composition(sample.sample_id, sample.brief, base, layers, tuple(checks), provenance_of(sample))


def provenance_of(sample: PlannedSample) -> dict[str, str]:
    """Where a sample comes from, for its sidecar."""
    return {
        "brief": sample.brief.id,
        "variation": str(sample.variation),
        "split": sample.split,
        "seed": str(sample.seed),
    }


def inputs_of(failed: Failed | None, drawn_from: Mapping[Place, Draw]) -> str:
    """What the failed picture was to be drawn from, as JSON: enough to try it again by hand."""
    draw = drawn_from.get((failed.sample_id, failed.layer_index)) if failed else None
    return json.dumps(asdict(draw)) if draw else "{}"


def _first_by_sample(failures: Mapping[Place, Failed]) -> dict[str, Failed]:
    """One failure per sample: that of its lowest layer."""
    return {place[0]: failures[place] for place in sorted(failures, reverse=True)}
