"""What a plan amounts to: counts, batch fill, and estimates of time, storage and money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pyarrow.compute as pc
from rich.table import Table

from layered.box import Box
from layered.brief import Brief
from models.vocabulary import load_vocabulary
from pipeline.config import RunConfig
from pipeline.plan import Plan
from stages.layer_flux import EMBEDDED_MODEL, resolve_defaults

BYTES_PER_PIXEL = 0.81
"""Of PNG level 1, measured on photo-like RGBA layers of 1024×1024 pixels; flat drawings take a tenth of it."""


@dataclass(frozen=True)
class PlanSummary:
    """A plan in numbers.

    Attributes:
        layers: generated image layers; the base images, one a sample, come on top.
        batch_fill: generated images over places in batches, 0…1; what is missing is computing time lost.
        layers_per_sample: number of samples by number of layers, text layers included.
        unknown_words: words that the embedded model cannot read, with the number of samples that use them.
        seconds: of generation on all workers, first attempts only; None unless `layer_flux.seconds_per_layer` is given.
        storage_bytes: of the chunks, and as much again for the shards; an upper estimate for photo-like images.
        price: of `seconds` on all workers; None unless `executor.price_per_hour` is given too.
    """

    samples: int
    briefs: int
    layers: int
    text_layers: int
    chunks: int
    batches: int
    batch_fill: float
    layers_per_sample: Mapping[int, int]
    styles: Mapping[str, int]
    splits: Mapping[str, int]
    unknown_words: Mapping[str, int]
    seconds: float | None
    storage_bytes: int
    price: float | None


def describe_plan(plan: Plan, config: RunConfig) -> PlanSummary:
    """The plan in numbers. Raises UserError as `make_plan` does."""
    settings = resolve_defaults(config.layer_flux)
    generated = sum(pc.list_value_length(plan.table["draws"]).to_pylist())
    layers, texts = (plan.table[name].to_pylist() for name in ("image_layers", "text_layers"))
    batches = stored = raw = 0
    unknown_words: Counter[str] = Counter()
    for chunk in plan.chunks():
        batches += len(chunk.batches)
        if config.keep_raw:
            raw += sum(draw.size[0] * draw.size[1] for batch in chunk.batches for draw in batch)
        for sample in chunk.samples:
            stored += sample_pixels(sample.brief)
            unknown_words.update(unknown_words_of(sample.brief, config))
    seconds = price = None
    if settings.seconds_per_layer is not None:
        seconds = generated * settings.seconds_per_layer / config.executor.workers
        if config.executor.price_per_hour is not None:
            price = seconds / 3600 * config.executor.workers * config.executor.price_per_hour
    return PlanSummary(
        samples=len(plan),
        briefs=pc.count_distinct(plan.table["brief_id"]).as_py(),
        layers=sum(layers),
        text_layers=sum(texts),
        chunks=plan.chunk_count,
        batches=batches,
        batch_fill=generated / (batches * settings.batch_size) if batches else 1.0,
        layers_per_sample=dict(sorted(Counter(map(sum, zip(layers, texts, strict=True))).items())),
        styles=dict(Counter(plan.table["style"].to_pylist()).most_common()),
        splits=dict(Counter(plan.table["split"].to_pylist()).most_common()),
        unknown_words=dict(unknown_words.most_common()),
        seconds=seconds,
        storage_bytes=round(BYTES_PER_PIXEL * (raw + 2 * stored)),
        price=price,
    )


def render_summary(summary: PlanSummary, measured: bool = False) -> Table:
    """The plan for a terminal; `measured` leaves out what a measurement tells better."""
    table = Table.grid(padding=(0, 2))
    images = summary.layers + summary.samples
    rows = {
        "samples": f"{summary.samples} of {summary.briefs} briefs; {_listed(summary.splits)}",
        "layers": f"{summary.layers} image, {summary.text_layers} text; {summary.samples} base images",
        "per sample": ", ".join(f"{count}×{layers}" for layers, count in summary.layers_per_sample.items())
        + " (samples × layers)",
        "styles": _listed(summary.styles),
        "batches": f"{summary.batches} in {summary.chunks} chunks, mean batch fill {100 * summary.batch_fill:.0f} %",
    }
    if not measured:
        rows["time"] = _time(summary, images)
        rows["storage"] = f"up to {summary.storage_bytes / 1e6:,.0f} MB for chunks and shards"
    if summary.price is not None and not measured:
        rows["price"] = f"{summary.price:,.2f} for first attempts"
    if summary.unknown_words:
        rows["warning"] = f"words the embedded model does not know: {_listed(summary.unknown_words)}"
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _time(summary: PlanSummary, images: int) -> str:
    if summary.seconds is None:
        return "unknown: layerprism estimate measures it, or give layer_flux.seconds_per_layer"
    return f"{timedelta(seconds=round(summary.seconds))} for {images} first attempts on all workers"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def sample_pixels(brief: Brief) -> int:
    """Of one sample: its layers, its base image and its whole image."""
    return 2 * Box.canvas(brief.canvas).area + sum(layer.placed_box().area for layer in brief.layers)


def unknown_words_of(brief: Brief, config: RunConfig) -> set[str]:
    """The words of a brief that the embedded model cannot read; none where another model draws."""
    if config.layer_flux.model != EMBEDDED_MODEL:
        return set()
    captions = [brief.base_caption, *(layer.caption or "" for layer in brief.layers if layer.kind == "image")]
    return set(load_vocabulary().unknown_words(" ".join([*captions, brief.style])))
