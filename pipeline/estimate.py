"""What a plan takes: time, GPU hours, storage and money, also per accepted sample, as ranges from a measurement.

The ranges are the middle 80 % of many plays of the plan's flow (`flow_model`), each with the measured batches, samples
and verdicts drawn anew from themselves: they tell what a measurement as short as this one leaves open, and the chance
in the run itself. What they cannot tell is whether the run will meet another machine, network or price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from layered.brief import describe_validation_error
from layered.errors import UserError
from layered.seeds import derive_seed
from ledger.run_directory import RunDirectory
from pipeline.config import RunConfig
from pipeline.contention import shared_cores
from pipeline.flow_model import ChunkLoad, FlowShape, chunk_load, play
from pipeline.measurement import Measurement
from pipeline.plan import Plan
from pipeline.plan_summary import sample_pixels

Item = TypeVar("Item")

ESTIMATE_FILE = "estimate.json"

REPLICATES = 60
"""Plays of the flow; the 10th and the 90th of a hundred are told well enough by sixty."""

MOST_CHUNKS = 48
"""Chunks that are played through; a longer plan goes on at the pace of the middle half of them."""

LOW, HIGH = 10, 90
"""Percentiles of a range."""

REQUESTS_PER_CHUNK = 4
"""To an object store: the look for a commit, the tar, its record, the index. Publishing reads each sample once more."""

QUANTITIES: Mapping[str, str] = {
    "seconds": "wall time",
    "gpu_hours": "GPU hours",
    "worker_hours": "worker hours",
    "pictures": "pictures drawn",
    "accepted": "accepted samples",
    "storage_bytes": "storage",
    "price": "money",
}
"""What is estimated, and what it is called."""

PER_ACCEPTED = ("seconds", "gpu_hours", "worker_hours", "storage_bytes", "price")
"""What is also told per accepted sample."""


class Range(BaseModel):
    """An estimate: most likely between `low` and `high`, `mid` in the middle. None where it is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None
    mid: float | None
    high: float | None


class Estimate(BaseModel):
    """What a plan takes; as JSON the `estimate.json` of a run.

    Attributes:
        samples: planned; with `plan.accepted` as many as it will take.
        quantities: by the names of `QUANTITIES`; without a price or a GPU these are missing.
        per_accepted: of the same names, for each accepted sample.
        seconds_of: where the wall time goes: preparing, starting, making, ending, publishing.
        busy, light_busy: share of their time that LayerFLUX processes and the others work, in 0…1.
        notes: what to keep in mind, a line each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layerprism_estimate: Literal[1] = 1
    planned: int
    samples: Range
    quantities: dict[str, Range]
    per_accepted: dict[str, Range]
    seconds_of: dict[str, float]
    busy: float
    light_busy: float
    currency: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Replicate:
    """One possible course of the run."""

    quantities: Mapping[str, float]
    samples: float
    making: float
    publishing: float
    busy: float
    light_busy: float


def estimate_plan(plan: Plan, config: RunConfig, measurement: Measurement, preparing: float) -> Estimate:
    """What a plan takes, nothing of it done yet.

    Args:
        preparing: seconds that configuration, briefs and plan take.

    Raises:
        UserError: when a kind of GPU is to be paid, and the processes reserve none.
    """
    if config.estimate.gpu is not None and not config.executor.gpus_per_worker:
        raise UserError(
            f"estimate.gpu is {config.estimate.gpu!r}, but executor.gpus_per_worker is 0: nothing would be paid for"
        )
    places = np.unique(np.linspace(0, plan.chunk_count - 1, min(plan.chunk_count, MOST_CHUNKS)).round().astype(int))
    loads = [chunk_load(plan, int(place)) for place in places]
    seen = [sample.brief for place in places for sample in plan.chunk(int(place)).samples]
    pixels = sum(map(sample_pixels, seen)) * len(plan) / len(seen)
    course = _Course(plan, config, measurement, preparing, loads, sum(plan.draws_per_chunk()), pixels)
    replicates = [course.replicate(number) for number in range(REPLICATES)]
    known = measurement.accepted > 0
    quantities = {
        name: _range([each.quantities[name] for each in replicates])
        for name in QUANTITIES
        if name in replicates[0].quantities
    }
    per_accepted = {
        name: _per_accepted(name, quantities[name], replicates, known, len(plan))
        for name in PER_ACCEPTED
        if name in quantities
    }
    if not known:
        quantities["accepted"] = Range(low=0, mid=None, high=quantities["accepted"].high)
    return Estimate(
        planned=len(plan),
        samples=_range([each.samples for each in replicates]),
        quantities=quantities,
        per_accepted=per_accepted,
        seconds_of={
            "preparing": preparing,
            "starting": measurement.starting,
            "making": float(np.median([each.making for each in replicates])),
            "stopping": measurement.stopping,
            "publishing": float(np.median([each.publishing for each in replicates])),
        },
        busy=float(np.median([each.busy for each in replicates])),
        light_busy=float(np.median([each.light_busy for each in replicates])),
        currency=config.estimate.prices.currency,
        notes=tuple(_notes(config, measurement)),
    )


@dataclass(frozen=True)
class _Course:
    """Everything that the possible courses of a run have in common.

    Attributes:
        loads: of the chunks that are played through.
        pictures: that the plan draws at first.
        pixels: of all samples, each by `sample_pixels`.
    """

    plan: Plan
    config: RunConfig
    measured: Measurement
    preparing: float
    loads: Sequence[ChunkLoad]
    pictures: int
    pixels: float

    def replicate(self, number: int) -> _Replicate:
        rng = np.random.default_rng(derive_seed(self.config.seed, "estimate", -1, number, "bootstrap"))
        measured, executor = self.measured, self.config.executor
        inline = executor.kind == "inline"
        workers = 1 if inline else executor.workers
        shape = FlowShape(
            workers,
            0 if inline else executor.light_workers,
            executor.chunks_in_flight,
            self.config.layer_flux.batch_size,
            measured.warm_up,
            shared_cores(executor),
        )
        costs = measured.costs({stage: _again(batches, rng) for stage, batches in measured.batches.items()})
        redraws = measured.redraw_rates(rng)[: self.config.layer_flux.attempts - 1]
        played = play(self.loads, costs, redraws, shape, rng)
        first = sum(load.draws for load in self.loads)
        # What was not played goes on at the steady pace.
        making = (played.seconds + (self.pictures - first) * played.steady_seconds) * measured.overhead
        drawn = played.drawn * self.pictures / first
        rate = float(rng.beta(measured.accepted + 0.5, measured.samples - measured.accepted + 0.5))
        samples = float(len(self.plan))
        growth = 1.0
        if (wanted := self.config.plan.accepted) is not None and measured.accepted:
            most = (self.config.plan.most_samples or samples) / samples
            growth = min(max(1.0, wanted / (rate * samples)), most)
        samples *= growth
        accepted = float(rng.binomial(round(samples), rate))
        making *= growth
        making += self._lost_seconds(making, workers, rng)
        publishing = measured.publishing_once + measured.publishing * samples + measured.reporting
        chunk_bytes, shard_bytes = self._bytes(rng)
        storage = growth * chunk_bytes + growth * shard_bytes * accepted / max(samples, 1)
        held = workers * (measured.starting + making) / 3600
        quantities = {
            "seconds": self.preparing + measured.starting + making + measured.stopping + publishing,
            "worker_hours": held,
            "pictures": drawn * growth,
            "accepted": accepted,
            "storage_bytes": storage,
        }
        if executor.gpus_per_worker:
            quantities["gpu_hours"] = held * executor.gpus_per_worker
        shards = shard_bytes * growth * accepted / max(samples, 1)
        chunks = self.plan.chunk_count * growth
        price = price_of(self.config, held, storage, shards, chunks, samples)
        if price is not None:
            quantities["price"] = price
        return _Replicate(quantities, samples, making, publishing, played.busy, played.light_busy)

    def _lost_seconds(self, making: float, workers: int, rng: np.random.Generator) -> float:
        """What lost machines cost: on average half a chunk of one worker is made again, once another one is ready."""
        settings = self.config.estimate
        if not settings.losses_per_hour:
            return 0.0
        chunk = making * workers * sum(load.draws for load in self.loads) / len(self.loads) / max(self.pictures, 1)
        each = settings.replacement_seconds + self.measured.starting + chunk / 2
        losses = rng.poisson(settings.losses_per_hour * workers * making / 3600)
        return float(losses * each / workers)

    def _bytes(self, rng: np.random.Generator) -> tuple[float, float]:
        """Bytes of all chunks, and of shards if every sample were accepted, by pixels of measured samples."""
        sizes = _again(self.measured.sizes, rng)
        pixels = sum(size.pixels for size in sizes)
        if not pixels:
            return 0.0, 0.0
        chunks, shards = (sum(getattr(size, name) for size in sizes) for name in ("chunk_bytes", "shard_bytes"))
        return self.pixels * chunks / pixels, self.pixels * shards / pixels


def price_of(
    config: RunConfig, worker_hours: float, storage: float, shards: float, chunks: float, samples: float
) -> float | None:
    """What a run costs by the price table; None where nothing has a price.

    Args:
        storage, shards: bytes kept in all, and of them the publication's.
    """
    settings, executor = config.estimate, config.executor
    prices = settings.prices
    parts: list[float] = []
    if settings.gpu is not None:
        parts.append(worker_hours * executor.gpus_per_worker * settings.gpu_prices[settings.gpu])
    elif executor.price_per_hour is not None:
        parts.append(worker_hours * executor.price_per_hour)
    if prices.light_hour is not None and executor.kind != "inline":
        parts.append(worker_hours / executor.workers * executor.light_workers * prices.light_hour)
    if prices.storage_gb_month is not None:
        parts.append(storage / 1e9 * settings.storage_months * prices.storage_gb_month)
    if prices.requests_1000 is not None:
        parts.append((REQUESTS_PER_CHUNK * chunks + samples) / 1000 * prices.requests_1000)
    if prices.egress_gb is not None:
        parts.append(shards / 1e9 * settings.downloads * prices.egress_gb)
    return sum(parts) if parts else None


def store_estimate(run: RunDirectory, estimate: Estimate) -> None:
    """Keeps the forecast that a run starts with."""
    run.storage.write(ESTIMATE_FILE, (estimate.model_dump_json(indent=1) + "\n").encode())


def stored_estimate(run: RunDirectory) -> Estimate | None:
    """The forecast that a run started with; None when it has none. Raises UserError when the file is damaged."""
    try:
        return Estimate.model_validate_json(run.storage.read(ESTIMATE_FILE))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(
            f"{run.storage.describe(ESTIMATE_FILE)} is damaged ({describe_validation_error(error)}): remove it"
        ) from None


def _notes(config: RunConfig, measured: Measurement) -> list[str]:
    notes = []
    if not measured.accepted:
        notes.append(
            f"none of {measured.samples} measured samples is accepted: what one costs is unknown. Measure more, or "
            "lower filters.<name>.threshold"
        )
    light = config.executor.light_workers if config.executor.kind == "ray" else 0
    if bool(light) != bool(measured.light_workers):
        notes.append("measured with another executor.kind: what processes share of a machine differs")
    return notes


def _per_accepted(name: str, whole: Range, replicates: Sequence[_Replicate], known: bool, planned: int) -> Range:
    if known:
        return _range([each.quantities[name] / max(each.quantities["accepted"], 1) for each in replicates])
    # Nothing passed: no sample can be cheaper than if all of them did, and nothing says how much dearer.
    return Range(low=None if whole.low is None else whole.low / planned, mid=None, high=None)


def _again(items: Sequence[Item], rng: np.random.Generator) -> list[Item]:
    """As many of the items, drawn from them with replacement."""
    return [items[place] for place in rng.integers(len(items), size=len(items))] if items else []


def _range(values: Sequence[float]) -> Range:
    low, mid, high = np.percentile(values, [LOW, 50, HIGH])
    return Range(low=float(low), mid=float(mid), high=float(high))
