"""`layerprism sample`: designs by the model that draws all layers at once, into a layered folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from art_model.checkpoint import Art, ArtSettings, load_art, read_settings
from art_model.sampling import SamplerSettings, noise_seed, sample_batch, settings_for
from layered import Layer, LayeredImage, LayerRecord, Sidecar, UserError
from layered.arrays import UInt8Array
from layered.codec import SIDECAR_MEMBER, encode_members, sample_key
from layered.folder import write_layered_folder
from layered.png import encode_png
from models import TINY
from pipeline.exploded_view import exploded_view, stacked
from pipeline.sample_orders import Order, SampleOptions, read_orders
from pipeline.single import write_png
from stages.layer_flux import EMBEDDED_MODEL
from stages.records import BASE_IMAGE

CONTACT_SHEET = "contact_sheet.png"

MOST_IN_SHEET = 64
"""Designs in the contact sheet; later ones are in the folder alone."""


@dataclass(frozen=True)
class ModelOptions:
    """The options of the command that say who draws, and how.

    Attributes:
        model: a folder with `art.json` or with `art/art.json`, or ``layerprism-tiny``.
        preset: ``default`` or ``released``, see `settings_for`.
        steps, true_cfg, guidance: in place of the preset's.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    model: str = EMBEDDED_MODEL
    preset: str = "default"
    steps: int | None = None
    true_cfg: float | None = None
    guidance: float | None = None
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class SampleJob:
    """Everything read, checked and loaded."""

    art: Art
    settings: SamplerSettings
    orders: Sequence[Order]
    preset: str

    def warnings(self) -> list[str]:
        """What the model is asked for, but never learned."""
        found = []
        prompts = " ".join(f"{order.request.prompt} {order.request.negative_prompt}" for order in self.orders)
        if words := self.art.text.unknown_words(prompts):
            shown = ", ".join(words[:10]) + (", …" if len(words) > 10 else "")
            found.append(f"{self.art.settings.name} does not know: {shown}")
        largest = max(max(order.request.layout.canvas) for order in self.orders)
        if largest > self.art.settings.largest_side:
            learned = self.art.settings.largest_side
            found.append(
                f"a canvas has {largest} pixels, but the model learned up to {learned}: --side {learned} scales"
            )
        return found


def prepare(options: SampleOptions, model: ModelOptions) -> SampleJob:
    """Reads what is asked for, then loads the model.

    Raises:
        UserError: for whatever is wrong with either; nothing is loaded before the options are right.
    """
    folder = TINY if model.model == EMBEDDED_MODEL else Path(model.model)
    settings = read_settings(folder)
    how = settings_for(settings, model.preset, steps=model.steps, true_cfg=model.true_cfg, guidance=model.guidance)
    orders = read_orders(options, settings.canvas)
    return SampleJob(load_art(folder, device=model.device), how, orders, model.preset)


def draw_into(folder: Path, job: SampleJob, batch: int, console: Console) -> Path:
    """Draws all designs, `batch` at once, writes each as soon as it is done, and returns the contact sheet's path.

    Raises:
        UserError: when a design of that name is in the folder already, or a file cannot be written.
    """
    for order in job.orders:
        if (folder / f"{order.request.sample_id}.{SIDECAR_MEMBER}").exists():
            raise UserError(f"{folder} holds {order.request.sample_id} already: give another --out")
    views: list[UInt8Array] = []
    batches = [job.orders[start : start + batch] for start in range(0, len(job.orders), batch)]
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{len(job.orders)} designs", total=len(batches) * job.settings.steps)
        for orders in batches:
            requests = [order.request for order in orders]
            images = sample_batch(job.art, requests, job.settings, lambda *_: progress.advance(task))
            for order, image in zip(orders, images, strict=True):
                sidecar = describe(order, image, job)
                write_sample(folder, image, sidecar)
                views.append(exploded_view(image, sidecar))
            del views[MOST_IN_SHEET:]
    sheet = folder / CONTACT_SHEET
    write_png(sheet, stacked(views))
    return sheet


def write_sample(folder: Path, image: LayeredImage, sidecar: Sidecar) -> None:
    """Writes a design's members. Raises UserError when that is not possible."""
    try:
        write_layered_folder(folder, sample_key(sidecar.id), encode_members(image, sidecar))
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror or error}") from error


def describe(order: Order, image: LayeredImage, job: SampleJob) -> Sidecar:
    """All that is known of a design; held parts keep who drew them."""
    brief, request = order.brief, order.request
    records = [_record(order, index, layer, job.art.settings) for index, layer in enumerate(image.layers)]
    base = order.base
    if request.held.background is None:
        drawn = {"seed": str(noise_seed(request.seed, request.sample_id, BASE_IMAGE)), **_who(job.art.settings)}
        base = {f"base_{name}": text for name, text in drawn.items()}
    return Sidecar(
        id=request.sample_id,
        canvas=brief.canvas,
        style_category=brief.style,
        whole_caption=brief.whole_caption,
        base_caption=brief.base_caption,
        layer_count=len(records),
        layers=tuple(records),
        provenance={**base, **_how(order, job)},
    )


def _record(order: Order, index: int, layer: Layer, model: ArtSettings) -> LayerRecord:
    box = layer.box
    placed = {
        "index": index,
        "box": box.as_tuple(),
        "sha256": hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
    }
    if index in order.records:
        return order.records[index].model_copy(update=placed)
    wanted, request = order.brief.layers[index], order.request
    drawn = {
        "kind": "image",
        # Any thing of the prompt may stand in any box, so nobody knows what this one shows.
        "caption": "",
        "layout_box": wanted.box,
        "seed": noise_seed(request.seed, request.sample_id, index),
        "attempt": 0,
    }
    return LayerRecord.model_validate(placed | drawn | _who(model))


def _who(model: ArtSettings) -> dict[str, str]:
    return {"model": model.name, "revision": model.revision, "licence": model.licence}


def _how(order: Order, job: SampleJob) -> dict[str, str]:
    """The sampler's settings, as provenance."""
    held, settings = order.request.held, job.settings
    opaque = {"merged": held.merged, "background": held.background}
    parts = [name for name, pixels in opaque.items() if pixels is not None]
    return {
        "sampler_seed": str(order.request.seed),
        "sampler_preset": job.preset,
        "sampler_steps": str(settings.steps),
        "sampler_true_cfg": f"{settings.true_cfg:g}",
        "sampler_guidance": "" if settings.guidance is None else f"{settings.guidance:g}",
        "sampler_shift": f"{settings.shift.by}",
        "negative_prompt": order.request.negative_prompt,
        "held": ",".join([*parts, *map(str, sorted(held.layers))]),
    }
