"""The pictures of an evaluation: drawn by models into the output folder, or found where they lie already.

Every model draws each brief of the bench as often as the bench says; each of these pictures has a key, ``BRIEF-03`` for
the fourth. What is drawn stays: the same command draws what is missing, and refuses what another model, other settings
or another brief left in the same place.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import torch
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from art_model.checkpoint import Part, load_art, model_folder, read_settings
from art_model.sampling import sample_batch, settings_for
from evaluation.bench import Bench, BenchItem
from evaluation.samples import FolderSamples, Samples, open_samples
from layered import Brief, LayeredImage, Sidecar, UserError
from layered.brief import describe_validation_error, write_briefs
from layered.codec import SIDECAR_MEMBER
from ledger.index import RunIndex
from models import TINY
from pipeline.briefs import BriefList, cannot_be_drawn
from pipeline.chunk_flow import LAYER_CHECK, LAYER_FLUX, MATTING, MULTI_LAYER_FLUX, TEXT_LAYER
from pipeline.config import load_config
from pipeline.evaluate_config import EvaluateConfig, ModelConfig, folder_name
from pipeline.executor_config import ExecutorConfig
from pipeline.fingerprint import model_part
from pipeline.plan_config import PlanConfig
from pipeline.run import new_run
from pipeline.sample import SampleJob, describe, write_sample
from pipeline.sample_orders import Order, SampleOptions, read_orders
from pipeline.timings import read_timings
from stages.layer_flux import EMBEDDED_MODEL

SAMPLES_FOLDER: Final = "samples"
RUNS_FOLDER: Final = "runs"
BRIEFS_FILE: Final = "briefs.jsonl"
SECONDS_FILE: Final = "seconds.jsonl"
DRAWING: Final = (LAYER_FLUX, MATTING, LAYER_CHECK, TEXT_LAYER, MULTI_LAYER_FLUX)
"""The stages that make a design; others score and store it."""

_FINGERPRINT: Final = "evaluation"
"""The provenance that says what a design was drawn by and from."""


@dataclass(frozen=True)
class Wanted:
    """One picture that every model makes.

    Attributes:
        draw: 0 for the brief's first picture.
        brief: the item's, with the picture's key as its id.
    """

    key: str
    item: BenchItem
    draw: int
    brief: Brief


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a model made of a bench.

    Attributes:
        sample_of: the id of its sample, by the key of the picture that was wanted; what is missing is not in it.
        seconds: per picture, by key; None where they were not drawn here.
        about: what the report says of the model.
    """

    samples: Samples
    sample_of: Mapping[str, str]
    seconds: Mapping[str, float] | None
    about: Mapping[str, str]


def wanted_of(items: Sequence[BenchItem], draws: int) -> list[Wanted]:
    """All pictures that each model makes: `draws` of each brief. Raises UserError for an id that leaves no room."""
    wanted = []
    for item in items:
        for draw in range(draws):
            key = f"{item.brief.id}-{draw:02d}"
            try:
                brief = Brief.model_validate({**item.brief.model_dump(), "id": key})
            except ValidationError as error:
                raise UserError(f"{item.brief.id}: {describe_validation_error(error)}") from error
            wanted.append(Wanted(key, item, draw, brief))
    return wanted


def draw_all(config: EvaluateConfig, bench: Bench, out: Path, console: Console) -> dict[str, Drawn]:
    """Every model's pictures, by the model's name.

    Raises:
        UserError: when a model, a run's configuration or a folder cannot be used, or the output folder holds designs of
            something else.
    """
    trainings = max((len(model.folders) for model in config.models.values()), default=1) or 1
    wanted = wanted_of(bench.items, config.bench.draws * trainings)
    made = {}
    for name, model in config.models.items():
        console.print(f"{name}: {len(wanted)} designs")
        if model.folders:
            folder = out / SAMPLES_FOLDER / folder_name(name)
            made[name] = _drawn_by_art(model.folders, _with_guidance(config, model), bench, wanted, folder, console)
        elif model.run is not None:
            later = wanted_of(bench.beyond, config.bench.draws * trainings)
            folder = out / RUNS_FOLDER / folder_name(name)
            made[name] = _drawn_by_run(model, config.seed, wanted, later, folder, console)
        else:
            made[name] = _found_in(Path(str(model.samples)), wanted)
        if not made[name].sample_of:
            raise UserError(f"models.{name}: none of the {len(wanted)} designs that the bench wants is there")
    return made


def _with_guidance(config: EvaluateConfig, model: ModelConfig) -> EvaluateConfig:
    """The evaluation as it is for a model that may have guidance of its own."""
    if model.true_cfg is None:
        return config
    return config.model_copy(update={"sampler": config.sampler.model_copy(update={"true_cfg": model.true_cfg})})


def _drawn_by_art(
    folders: Sequence[str],
    config: EvaluateConfig,
    bench: Bench,
    wanted: Sequence[Wanted],
    out: Path,
    console: Console,
) -> Drawn:
    """Draws what is missing; several trainings take turns, `bench.draws` pictures of a brief each."""
    about = {}
    for number, folder in enumerate(folders):
        path = TINY if folder == EMBEDDED_MODEL else Path(folder)
        own = [each for each in wanted if each.draw // config.bench.draws % len(folders) == number]
        settings = read_settings(path)
        digest = _art_digest(path, config)
        marks = {each.key: _mark(digest, each, config.seed) for each in own}
        missing = [each for each in own if not _is_there(out, each.key, marks[each.key])]
        if missing:
            _draw(path, config, bench, missing, marks, out, console)
        label = "model" if len(folders) == 1 else f"model {number + 1}"
        about[label] = f"{settings.name} {settings.revision} ({settings.licence}), {digest[:12]}"
    if (guidance := config.sampler.true_cfg) is not None:
        about["true CFG"] = f"{guidance:g}"
    return Drawn(FolderSamples(out), {each.key: each.key for each in wanted}, _read_seconds(out), about)


def _draw(
    path: Path,
    config: EvaluateConfig,
    bench: Bench,
    wanted: Sequence[Wanted],
    marks: Mapping[str, str],
    out: Path,
    console: Console,
) -> None:
    sampler = config.sampler
    dtypes = {None: None, "float32": torch.float32, "bfloat16": torch.bfloat16}
    art = load_art(path, device=sampler.device, dtype=dtypes[sampler.precision])
    chosen = settings_for(
        art.settings, sampler.preset, steps=sampler.steps, true_cfg=sampler.true_cfg, guidance=sampler.guidance
    )
    out.mkdir(parents=True, exist_ok=True)
    write_briefs(out / BRIEFS_FILE, [each.brief for each in wanted])
    orders = read_orders(SampleOptions(layout=out / BRIEFS_FILE, seed=config.seed), art.settings.canvas)
    if config.task == "image_to_layers":
        orders = [_from_picture(order, bench.truth(each.item)) for order, each in zip(orders, wanted, strict=True)]
    job = SampleJob(art, chosen, orders, sampler.preset)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with (out / SECONDS_FILE).open("a", encoding="utf-8") as log, bar as progress:
        task = progress.add_task(f"{len(orders)} designs", total=len(orders))
        for start in range(0, len(orders), sampler.batch):
            batch = orders[start : start + sampler.batch]
            begun = time.perf_counter()
            images = sample_batch(art, [order.request for order in batch], chosen)
            seconds = (time.perf_counter() - begun) / len(batch)
            for order, image in zip(batch, images, strict=True):
                sidecar = describe(order, image, job)
                provenance = {**sidecar.provenance, _FINGERPRINT: marks[sidecar.id]}
                write_sample(out, image, sidecar.model_copy(update={"provenance": provenance}))
                log.write(json.dumps({"key": sidecar.id, "seconds": round(seconds, 4)}) + "\n")
            log.flush()
            progress.advance(task, len(batch))


def _from_picture(order: Order, truth: LayeredImage | None) -> Order:
    """The order with the true design's picture held, to be taken apart."""
    assert truth is not None  # the configuration was refused otherwise
    held = replace(order.request.held, merged=truth.whole())
    return replace(order, request=replace(order.request, held=held))


def _art_digest(path: Path, config: EvaluateConfig) -> str:
    """What an ART model's pictures follow from, but the brief: its files and the sampler's settings."""
    folder = model_folder(path)
    settings = read_settings(path)
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for part in get_args(Part):
        # A folder's own name does not count, so that a model may be moved.
        digest.update(model_part(str(settings.folder_of(part, folder).resolve())).rpartition(" ")[2].encode())
    digest.update(config.sampler.model_dump_json(exclude={"batch", "device"}).encode())
    digest.update(config.task.encode())
    return digest.hexdigest()


def _mark(digest: str, wanted: Wanted, seed: int) -> str:
    text = f"{digest} {wanted.item.fingerprint} {wanted.draw} {seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_there(folder: Path, key: str, mark: str) -> bool:
    """Whether a picture was drawn to its end. Raises UserError when it was drawn by or from something else."""
    path = folder / f"{key}.{SIDECAR_MEMBER}"
    if not path.is_file():
        return False
    try:
        _, sidecar = FolderSamples(folder).sample(key)
    except UserError:
        return False  # killed while it was written
    if sidecar.provenance.get(_FINGERPRINT) != mark:
        raise UserError(
            f"{path} was drawn by another model, with other settings or for another brief: give another --out, "
            f"or remove {folder}"
        )
    return True


def _read_seconds(folder: Path) -> dict[str, float]:
    """The last time of each picture; a line cut short by a kill is left out."""
    seconds: dict[str, float] = {}
    if (folder / SECONDS_FILE).is_file():
        for line in (folder / SECONDS_FILE).read_text(encoding="utf-8").splitlines():
            try:
                entry: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:
                continue
            seconds[entry["key"]] = float(entry["seconds"])
    return seconds


def _drawn_by_run(
    model: ModelConfig,
    seed: int,
    wanted: Sequence[Wanted],
    later: Sequence[Wanted],
    out: Path,
    console: Console,
) -> Drawn:
    """MultiLayerFLUX: a run of the wanted briefs in one process, which goes on where it was stopped.

    The run knows of the briefs that the bench's limit leaves out, so that a larger limit extends it.
    """
    problems = [(each, cannot_be_drawn(each.brief)) for each in wanted]
    if bad := [(each, problem) for each, problem in problems if problem]:
        raise UserError(f"MultiLayerFLUX cannot draw {bad[0][0].item.brief.id}: {bad[0][1]}")
    loaded = load_config(Path(str(model.run)), model.set)
    config = loaded.model_copy(
        update={
            "seed": seed,
            "plan": PlanConfig(samples=len(wanted)),
            "executor": ExecutorConfig(kind="inline"),
            "keep_raw": False,
        }
    )
    briefs = BriefList(tuple(each.brief for each in (*wanted, *later)))
    session = new_run(out, config, briefs)
    with session.driving():
        asyncio.run(session.make(briefs, console))
    index = RunIndex.load(session.run.storage)
    failed = index.failures()
    finished = [sample_id for sample_id in index.sample_ids if sample_id not in failed]
    samples = _RunSamples(index)
    sample_of = {samples.sidecar(sample_id).provenance["brief"]: sample_id for sample_id in finished}
    busy = sum(
        report.ended - report.started
        for sitting in read_timings(session.run.storage)
        for report in sitting
        if report.stage in DRAWING
    )
    about = {"model": f"{config.layer_flux.model}, {config.layer_flux.attempts} attempts, {config.matting.backend}"}
    about["fingerprint"] = session.run.fingerprint[:12]
    each = busy / max(1, len(sample_of))
    return Drawn(samples, sample_of, dict.fromkeys(sample_of, each), about)


class _RunSamples:
    """The finished samples of a run, published or not."""

    def __init__(self, index: RunIndex) -> None:
        self._index = index

    @property
    def sample_ids(self) -> list[str]:
        return self._index.sample_ids

    def sidecar(self, sample_id: str) -> Sidecar:
        return Sidecar.from_json(self._index.sample_members(sample_id, {SIDECAR_MEMBER})[SIDECAR_MEMBER])

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        return self._index.sample(sample_id)


def _found_in(path: Path, wanted: Sequence[Wanted]) -> Drawn:
    """Gives the samples of each brief to its pictures, in the order of their ids."""
    samples = open_samples(path)
    names = {each.item.brief.id for each in wanted}
    of_brief: dict[str, list[str]] = defaultdict(list)
    for sample_id in sorted(samples.sample_ids):
        name = _brief_named(samples, sample_id, names)
        if name is not None:
            of_brief[name].append(sample_id)
    sample_of = {
        each.key: of_brief[each.item.brief.id][each.draw]
        for each in wanted
        if each.draw < len(of_brief[each.item.brief.id])
    }
    return Drawn(samples, sample_of, None, {"samples": str(path)})


def _brief_named(samples: Samples, sample_id: str, names: set[str]) -> str | None:
    """The brief that a sample was made for: its own id, that without a draw's number, or what its provenance says."""
    claims = [sample_id, sample_id.rpartition("-")[0], samples.sidecar(sample_id).provenance.get("brief", "")]
    return next((claim for claim in claims if claim in names), None)
