"""What a run, or a trial of a few batches, measured: the numbers that make an estimate, and what they hold for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layered.brief import Brief, describe_validation_error
from layered.codec import SIDECAR_MEMBER
from layered.errors import UserError
from layered.seeds import derive_seed
from layered.sidecar import Sidecar
from ledger.commit import committed
from ledger.index import RunIndex, SampleRecord
from ledger.run_directory import FINGERPRINT_PARTS, RunDirectory, fingerprint_differences
from pipeline.chunk_flow import COMMITTING
from pipeline.config import RunConfig
from pipeline.contention import shared_cores
from pipeline.flow_model import UNIT, Batches, ChunkLoad, FlowShape, StageCost, chunk_load, fit_cost, play
from pipeline.phases import Phase, PhaseName, read_phases
from pipeline.plan import Plan
from pipeline.plan_summary import sample_pixels
from pipeline.pools import BatchReport
from pipeline.timings import read_timings
from pipeline.top_up import selection_by_filters
from shards.tar import is_sample_member

MOST_BATCHES = 2000
"""Batches of one stage that a measurement keeps, from all over the run."""

MOST_SAMPLES = 512
"""Samples whose files and attempts are looked at, from all over the run."""

NOT_COMPARED = ("seed", "briefs", "plan.")
"""Parts of a fingerprint that a measurement need not share with the plan that it is used for."""

_TAR_BLOCK = 512


class SampleSize(BaseModel):
    """One sample's bytes in its chunk and in a shard, tar headers included, and its pixels by `sample_pixels`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pixels: int
    chunk_bytes: int
    shard_bytes: int


class Measurement(BaseModel):
    """A measurement; as JSON the file of `layerprism estimate --save`.

    Attributes:
        parts: what was drawn with what: of the run's fingerprint those parts that matter, and the thresholds.
        briefs: what the samples were made of, as the fingerprint tells it.
        batches: (units, seconds) by stage, without each process's first one; see `flow_model.UNIT`. The seconds are
            those that a batch would have taken alone on its machine.
        demands: cores that a batch keeps busy, by stage.
        warm_up: seconds that a process's first batch took longer, by stage.
        attempts: (layers checked, layers that passed) of the first attempt, the second, and so on.
        samples, accepted: committed, and of these published if nobody decided anything.
        sizes: of some finished samples.
        starting, stopping, reporting: seconds, once for each sitting.
        publishing: seconds per sample.
        publishing_once: seconds of the first publication in a process, however many samples it holds.
        overhead: time that the run took over time that the model of its flow says, 1 where nothing tells.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layerprism_measurement: Literal[1] = 1
    parts: dict[str, Any]
    briefs: str
    workers: int
    light_workers: int
    batches: dict[str, tuple[tuple[float, float], ...]]
    demands: dict[str, float] = Field(default_factory=dict)
    warm_up: dict[str, float]
    attempts: tuple[tuple[int, int], ...]
    samples: int = Field(ge=1)
    accepted: int = Field(ge=0)
    sizes: tuple[SampleSize, ...]
    starting: float
    stopping: float
    reporting: float
    publishing: float
    publishing_once: float = 0.0
    overhead: float

    def costs(self, batches: Mapping[str, Batches]) -> dict[str, StageCost]:
        """What a batch of each stage takes, from these batches of it."""
        return {stage: fit_cost(of_stage, self.demands.get(stage, 0.0)) for stage, of_stage in batches.items()}

    def redraw_rates(self, rng: np.random.Generator | None = None) -> list[float]:
        """Chance that a layer is drawn again after each attempt; with `rng`, drawn from what the counts leave open."""
        if rng is None:
            return [1 - passed / checked for checked, passed in self.attempts if checked]
        return [float(rng.beta(checked - passed + 0.5, passed + 0.5)) for checked, passed in self.attempts]


def measured_parts(fingerprint_parts: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """What a measurement and a plan must share: models, their settings, checks, thresholds, what is kept."""
    parts = {name: value for name, value in fingerprint_parts.items() if not name.startswith(NOT_COMPARED)}
    thresholds = {f"filters.{name}.threshold": value for name, value in config.filters.thresholds().items()}
    as_stored: dict[str, Any] = json.loads(json.dumps(parts | thresholds | {"keep_raw": config.keep_raw}))
    return as_stored


def require_same(measurement: Measurement, parts: Mapping[str, Any], source: str) -> None:
    """Raises UserError, naming what differs, when something else was measured than what is planned."""
    if differences := fingerprint_differences(measurement.parts, parts):
        more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
        raise UserError(
            f"{source} measured something else: {'; '.join(differences[:3])}{more}: measure again with "
            "layerprism estimate CONFIG --save FILE"
        )


def write_measurement(path: Path, measurement: Measurement) -> None:
    """Writes it as JSON. Raises UserError when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(measurement.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the measurement {path}: {error.strerror or error}") from error


def read_measurement(path: Path) -> Measurement:
    """Reads what `write_measurement` wrote. Raises UserError when the file is missing or something else."""
    try:
        return Measurement.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"there is no measurement {path} ({error.strerror or error}): make one with "
            f"layerprism estimate CONFIG --save {path}"
        ) from error
    except ValidationError as error:
        raise UserError(f"{path} is no measurement: {describe_validation_error(error)}") from None


def measure_run(run: RunDirectory, plan: Plan, config: RunConfig) -> Measurement:
    """What a run measured so far.

    Raises:
        UserError: when it has no timings, or no committed chunk.
    """
    sittings = read_timings(run.storage)
    chunks = sorted({commit.chunk for commit in committed(run.storage)} & set(range(plan.chunk_count)))
    if not sittings or not chunks:
        raise UserError(f"{run.place} has measured nothing yet: give a run with committed chunks and timings")
    loads = {chunk: chunk_load(plan, chunk) for chunk in _spread(chunks, MOST_SAMPLES)}
    cores = shared_cores(config.executor)
    work = _work(sittings, loads)
    index = RunIndex.load(run.storage)
    records = _spread([record for record in index.records() if record.failure is None], MOST_SAMPLES)
    attempts = _attempts(index, records)
    phases = read_phases(run.storage)
    light_workers = config.executor.light_workers if config.executor.kind == "ray" else 0
    shape = FlowShape(
        config.executor.workers if light_workers else 1,
        light_workers,
        config.executor.chunks_in_flight,
        config.layer_flux.batch_size,
        work.warm_up,
        cores,
    )
    measured = Measurement(
        parts=measured_parts(run.info[FINGERPRINT_PARTS], config),
        briefs=str(run.info[FINGERPRINT_PARTS].get("briefs", "")),
        workers=shape.workers,
        light_workers=light_workers,
        batches=work.steady,
        demands=work.demands,
        warm_up=work.warm_up,
        attempts=attempts,
        samples=len(index),
        accepted=len(selection_by_filters(run, config).published),
        sizes=tuple(_size(record, plan) for record in records),
        starting=_mean(phases, "starting"),
        stopping=_mean(phases, "stopping"),
        reporting=_mean(phases, "reporting"),
        publishing=_mean(phases, "publishing") / max(1, len(index)),
        overhead=1.0,
    )
    if len(sittings) > 1 or len(loads) < len(chunks):
        return measured  # a sitting that was cut short, or a run too long to play through, tells no overhead
    costs = measured.costs(measured.batches)
    rng = np.random.default_rng(derive_seed(0, "estimate", -1, 0, "overhead"))
    played = np.median(
        [play(list(loads.values()), costs, measured.redraw_rates(), shape, rng).seconds for _ in range(9)]
    )
    return measured.model_copy(update={"overhead": float(np.clip(span_of(sittings[0]) / max(played, 1e-9), 0.8, 1.5))})


def tar_bytes(sizes: Iterable[int]) -> int:
    """What members of these sizes take in a tar: a header each, and content filled up to whole blocks."""
    return sum(_TAR_BLOCK + -(-size // _TAR_BLOCK) * _TAR_BLOCK for size in sizes)


def span_of(reports: Sequence[BatchReport]) -> float:
    """Seconds from the first batch's start to the last one's end."""
    return max(report.ended for report in reports) - min(report.started for report in reports)


@dataclass(frozen=True)
class _Work:
    """What batches took.

    Attributes:
        steady: (units, seconds alone) by stage without the first batch of each process.
        warm_up: how much longer that one took.
        demands: cores that a batch keeps busy.
    """

    steady: dict[str, tuple[tuple[float, float], ...]]
    warm_up: dict[str, float]
    demands: dict[str, float]


def _work(sittings: Sequence[Sequence[BatchReport]], loads: Mapping[int, ChunkLoad]) -> _Work:
    first: dict[str, list[tuple[float, float]]] = defaultdict(list)
    later: dict[str, list[tuple[float, float]]] = defaultdict(list)
    computed: dict[str, list[float]] = defaultdict(list)
    for sitting in sittings:
        seen: set[tuple[str, str]] = set()
        for report in sorted(sitting, key=lambda report: report.started):
            if report.stage not in UNIT or report.chunk not in loads or report.failed == report.items:
                continue
            units = _units(report, loads[report.chunk])
            batches = later if (report.stage, report.worker) in seen else first
            seen.add((report.stage, report.worker))
            batches[report.stage].append((units, report.seconds_alone))
            computed[report.stage].append(report.cpu_seconds)
    work = _Work({}, {}, {})
    for stage in sorted({*first, *later}):
        both = first[stage] + later[stage]
        enough = len(later[stage]) >= 3
        kept = later[stage] if enough else both
        work.steady[stage] = tuple(_spread(kept, MOST_BATCHES))
        work.demands[stage] = sum(computed[stage]) / max(sum(seconds for _, seconds in both), 1e-9)
        if enough:
            cost = fit_cost(kept)
            excess = [seconds - cost.fixed - cost.per_unit * units for units, seconds in first[stage]]
            work.warm_up[stage] = max(0.0, float(np.mean(excess)))
    return work


def _units(report: BatchReport, load: ChunkLoad) -> float:
    unit = UNIT[report.stage]
    if unit == "pixels" and report.pixels:
        return float(report.pixels)
    if unit == "pictures":
        # These stages count samples, and the commit one chunk; their work is that of the pictures in them.
        return load.pictures * (1.0 if report.stage == COMMITTING else report.items / load.samples)
    return float(report.items)


def _attempts(index: RunIndex, records: Sequence[SampleRecord]) -> tuple[tuple[int, int], ...]:
    """(checked, passed) by attempt, as the samples' sidecars tell."""
    checked: dict[int, int] = defaultdict(int)
    passed: dict[int, int] = defaultdict(int)
    for record in records:
        sidecar = Sidecar.from_json(index.sample_members(record.sample_id, [SIDECAR_MEMBER])[SIDECAR_MEMBER])
        for row in json.loads(sidecar.provenance.get("attempts") or "[]"):
            checked[row["attempt"]] += 1
            passed[row["attempt"]] += row["passed"]
    return tuple((checked[attempt], passed[attempt]) for attempt in sorted(checked))


def _size(record: SampleRecord, plan: Plan) -> SampleSize:
    place = pc.index(plan.table["sample_id"], record.sample_id).as_py()
    brief = Brief.model_validate_json(plan.table["brief"][place].as_py())
    sizes = {member.name: member.size for member in record.members}
    return SampleSize(
        pixels=sample_pixels(brief),
        chunk_bytes=tar_bytes(sizes.values()),
        shard_bytes=tar_bytes(size for name, size in sizes.items() if is_sample_member(name)),
    )


def _mean(phases: Sequence[Phase], name: PhaseName) -> float:
    seconds = [phase.seconds for phase in phases if phase.name == name]
    return sum(seconds) / len(seconds) if seconds else 0.0


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, evenly from all of them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]
