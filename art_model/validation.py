"""What is looked at while a training runs: the loss on held-out designs, and designs drawn for their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from art_model.caching import CachedDesign
from art_model.checkpoint import Art, ArtSettings, load_vae, model_folder
from art_model.objective import class_losses
from art_model.questions import CLASSES
from art_model.regions import Regions
from art_model.request import Held, Layout, SampleRequest
from art_model.sampling import sample_batch, settings_for
from art_model.text import PromptEmbedding, PromptEncoder
from art_model.train_config import ValidationConfig
from art_model.training_batches import DesignSource, held_out_batch
from art_model.transformer import RegionTransformer
from art_model.transparent_decoder import TransparentDecoder, load_decoder
from layered.arrays import UInt8Array
from layered.rendering import contact_sheet

_TILE = 128


@torch.no_grad()  # see `sample_batch`
def held_out_losses(
    transformer: nn.Module,
    designs: Sequence[CachedDesign],
    config: ValidationConfig,
    model: ArtSettings,
    budget: int,
    autocast: AbstractContextManager[Any],
) -> Tensor:
    """Mean losses per time of `config.times` and class, ``[times, classes]``, text → all layers.

    Noise is always the same, so that two measurements differ by the weights alone. NaN for a class that no design has.

    Args:
        budget: most tokens of a forward, unless one design alone has more.
    """
    device = next(transformer.parameters()).device
    rows = []
    for time in config.times:
        found = []
        for part in _within(designs, budget):
            batch = held_out_batch(part, time, model.shift, model.guidance)
            with autocast:
                velocity = transformer(batch.packed.to(device))
            found.append(class_losses(velocity, batch.questions))
        rows.append(torch.cat(found).nanmean(0))
    return torch.stack(rows).cpu()


def loss_scalars(losses: Tensor, times: Sequence[float]) -> dict[str, float]:
    """`held_out_losses` by name: each class at each time, and each class's mean."""
    found = {
        f"{name}_at_{time:g}": float(losses[row, column])
        for row, time in enumerate(times)
        for column, name in enumerate(CLASSES)
    }
    return found | {name: float(losses[:, column].mean()) for column, name in enumerate(CLASSES)}


class CachedPrompts:
    """Prompts that are embedded already, in place of the text encoders, which a training does not keep in memory."""

    def __init__(self, embeddings: Mapping[str, PromptEmbedding]) -> None:
        self._embeddings = embeddings

    def __call__(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        return [self._embeddings[prompt] for prompt in prompts]


class _PreciseDecoder:
    """The transparent decoder, outside of the autocast that the transformer runs in."""

    def __init__(self, decoder: TransparentDecoder) -> None:
        self._decoder = decoder

    def decode(self, vae: Any, latents: Sequence[Tensor], regions: Regions) -> list[UInt8Array]:
        with torch.autocast(latents[0].device.type, enabled=False):
            return self._decoder.decode(vae, latents, regions)


@dataclass(eq=False)
class Painter:
    """Draws held-out designs with the transformer in training.

    Attributes:
        vae, decoder: loaded when they are first needed.
    """

    folder: Path
    settings: ArtSettings
    designs: Sequence[CachedDesign]
    empty: PromptEmbedding
    config: ValidationConfig
    _parts: tuple[Any, Any] | None = None

    def draw(self, transformer: RegionTransformer, autocast: AbstractContextManager[Any]) -> UInt8Array:
        """A row for each design: merged, recomposed, background, then layers on a checkerboard; RGB.

        Text layers, which a font draws, are left out of the boxes.
        """
        device = transformer.proj_out.weight.device
        if self._parts is None:
            folder = model_folder(self.folder)
            decoder = load_decoder(self.settings.folder_of("decoder", folder)).eval().requires_grad_(False).to(device)
            vae = load_vae(self.settings.folder_of("vae", folder)).eval().requires_grad_(False).to(device)
            parts: tuple[Any, Any] = vae, _PreciseDecoder(decoder)
            self._parts = parts
        shown = [_moved(PromptEmbedding(each.text, each.pooled), device) for each in self.designs]
        embeddings = dict(zip((each.prompt for each in self.designs), shown, strict=True))
        prompts = CachedPrompts(embeddings | {"": _moved(self.empty, device)})
        vae, precise = self._parts
        art = Art(transformer, cast(PromptEncoder, prompts), vae, precise, self.settings)
        settings = settings_for(self.settings, steps=self.config.steps, true_cfg=self.config.true_cfg)
        requests = [
            SampleRequest(each.prompt, Layout(each.canvas, _image_boxes(each)), "", Held(), each.sample_id)
            for each in self.designs
        ]
        with autocast:
            images = [sample_batch(art, [request], settings)[0] for request in requests]
        columns = 3 + max(len(image.layers) for image in images)
        tiles: list[UInt8Array] = []
        for image in images:
            merged = image.whole() if image.merged is None else image.merged
            row = [merged, image.whole(), image.base, *(layer.pixels for layer in image.layers)]
            tiles += row + [np.zeros((1, 1, 4), np.uint8)] * (columns - len(row))
        return contact_sheet(tiles, columns, (_TILE, _TILE))


def _within(designs: Sequence[CachedDesign], budget: int) -> list[list[CachedDesign]]:
    parts: list[list[CachedDesign]] = []
    used = budget
    for design in designs:
        length = len(design.tokens) + len(design.text)
        if used + length > budget:
            parts.append([])
            used = 0
        parts[-1].append(design)
        used += length
    return parts


def held_out_designs(source: DesignSource, count: int) -> list[CachedDesign]:
    """Designs of a source, evenly from all of them."""
    return [source[index] for index in np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int)]


def _image_boxes(design: CachedDesign) -> tuple[Any, ...]:
    return tuple(box for box, kind in zip(design.boxes, design.kinds, strict=True) if kind == "image")


def _moved(prompt: PromptEmbedding, device: torch.device) -> PromptEmbedding:
    return replace(prompt, text=prompt.text.float().to(device), pooled=prompt.pooled.float().to(device))
