"""From a prompt and a layout to a layered image: Euler steps over the tokens of all regions, then one joint decoding.

Held parts take part in every step with their clean tokens at t = 0, so that the others grow to fit them, and they are
handed back as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from art_model.autoencoder import encode_regions
from art_model.checkpoint import Art, ArtSettings
from art_model.packing import TokenSample, latents_to_tokens, pack, tokens_to_latents
from art_model.regions import BACKGROUND, FIRST_FOREGROUND, MERGED, Region, Regions, regions_of
from art_model.request import Held, Layout, SampleRequest
from art_model.schedule import Shift, sigmas
from art_model.text import PromptEmbedding
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.seeds import derive_seed

Preset = Literal["default", "released"]

Callback = Callable[[int, Sequence[Tensor]], None]
"""Called after each step with the number of steps done and each design's tokens ``[n, channels]``, float32."""


@dataclass(frozen=True)
class SamplerSettings:
    """How to sample.

    Attributes:
        steps: Euler steps.
        true_cfg: scale of classifier-free guidance (Ho & Salimans 2022): how many times the way from the negative
            prompt's velocity to the prompt's is gone. 1 needs no negative prompt and half the time.
        guidance: the value of the guidance embedding; None for a model that has none.
        shift: of the times.
        clip_overflow: cut boxes at the canvas, as ART's released code does.
    """

    steps: int
    true_cfg: float
    guidance: float | None
    shift: Shift
    clip_overflow: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: at least 1 is needed")
        if self.true_cfg < 1:
            raise UserError(f"the true CFG scale is {self.true_cfg:g}: at least 1, which switches it off, is needed")


def settings_for(
    model: ArtSettings,
    preset: str = "default",
    *,
    steps: int | None = None,
    true_cfg: float | None = None,
    guidance: float | None = None,
) -> SamplerSettings:
    """A model's own settings, or those of ART's released code, with some of them replaced.

    ``released`` is the pair of guidances that the released code applies at once, 4.0 as an embedding and a true CFG of
    3.5 (two forwards per step), with the shift from all tokens and boxes cut at the canvas.

    Raises:
        UserError: for an unknown preset, and for guidance where the model has no guidance embedding.
    """
    if guidance is not None and model.guidance is None:
        raise UserError("this model has no guidance embedding: leave `guidance` out and use the true CFG scale")
    match preset:
        case "default":
            chosen = SamplerSettings(model.steps, model.true_cfg, model.guidance, model.shift)
        case "released":
            shift = model.shift.model_copy(update={"by": "total"})
            chosen = SamplerSettings(model.steps, 3.5, None if model.guidance is None else 4.0, shift, True)
        case _:
            raise UserError(f"there is no preset {preset!r}: take default or released")
    return replace(
        chosen,
        steps=chosen.steps if steps is None else steps,
        true_cfg=chosen.true_cfg if true_cfg is None else true_cfg,
        guidance=chosen.guidance if guidance is None else guidance,
    )


def sample(
    art: Art,
    prompt: str,
    layout: Layout,
    *,
    negative_prompt: str = "",
    settings: SamplerSettings | None = None,
    seed: int = 0,
    sample_id: str = "sample",
    held: Held | None = None,
    callback: Callback | None = None,
) -> LayeredImage:
    """One design. See `sample_batch`."""
    request = SampleRequest(prompt, layout, negative_prompt, held or Held(), sample_id, seed)
    return sample_batch(art, [request], settings, callback)[0]


@torch.no_grad()  # not inference mode, whose tensors a spread model keeps and could not train on
def sample_batch(
    art: Art,
    requests: Sequence[SampleRequest],
    settings: SamplerSettings | None = None,
    callback: Callback | None = None,
) -> list[LayeredImage]:
    """Designs of any sizes and layer counts, packed into one forward per step; none sees another.

    A design depends on its request, the model and the settings; on the others of its batch only in the last bits.

    Returns:
        Per request the layered image with the model's merged image. Boxes are those of the layout (with `clip_overflow`
        cut at the canvas, held ones apart); RGB is 0 where alpha is 0; held parts are what was given.

    Raises:
        UserError: for a prompt that is too long, or more layers than the model's layer embedding has rows.
    """
    settings = settings or settings_for(art.settings)
    designs = [_begin(art, request, settings) for request in requests]
    prompts = _embedded(art, requests, settings)
    schedules = [sigmas(settings.steps, design.regions, settings.shift).tolist() for design in designs]
    for step in range(settings.steps):
        times = [schedule[step] for schedule in schedules]
        velocities = _guided_velocities(art, designs, times, prompts, settings)
        for design, schedule, velocity in zip(designs, schedules, velocities, strict=True):
            moved = design.tokens + (schedule[step + 1] - schedule[step]) * velocity
            design.tokens = torch.where(design.free[:, None].to(art.device), moved, design.tokens)
        if callback is not None:
            callback(step + 1, [design.tokens for design in designs])
    return [_finished(art, design) for design in designs]


@dataclass(eq=False)
class _Design:
    """One design on its way from noise: ``tokens [n, channels]`` in float32, of which the ``free [n]`` ones move.

    `free` stays on the CPU: times are sorted into modulation rows there.
    """

    request: SampleRequest
    regions: Regions
    tokens: Tensor
    free: Tensor


def _begin(art: Art, request: SampleRequest, settings: SamplerSettings) -> _Design:
    """Noise, and the clean latents of what is held."""
    layout = request.layout
    regions = regions_of(layout.canvas, layout.boxes, token=art.token, clip_overflow=settings.clip_overflow)
    given = _held_latents(art, request, regions)
    latents = [
        given[region.layer] if region.layer in given else _noise(art, request, region) for region in regions.items
    ]
    tokens = torch.cat([latents_to_tokens(own).to(art.device) for own in latents])
    free = torch.tensor([region.layer not in given for region in regions.items])
    return _Design(request, regions, tokens, free.repeat_interleave(torch.tensor(regions.lengths)))


def _held_latents(art: Art, request: SampleRequest, regions: Regions) -> dict[int, Tensor]:
    """Latents ``[channels, height, width]`` of the held regions by their place on the layer axis."""
    held = request.held.by_region()
    chosen = [region for region in regions.items if region.layer in held]
    images = [_visible(held[region.layer], request.layout, region) for region in chosen]
    latents = encode_regions(art.vae, images, replace(regions, items=tuple(chosen)))
    return {region.layer: own for region, own in zip(chosen, latents, strict=True)}


def _visible(pixels: UInt8Array, layout: Layout, region: Region) -> UInt8Array:
    """The part of a held image that its region shows: all of it, unless boxes are cut at the canvas."""
    if region.layer < FIRST_FOREGROUND:
        return pixels
    box = layout.boxes[region.layer - FIRST_FOREGROUND]
    return pixels[region.box.shifted(-box.x0, -box.y0).pixels()]


def noise_seed(seed: int, sample_id: str, layer: int) -> int:
    """The seed of a region's noise: 0 is the lowest foreground, -1 the background, -2 the merged image."""
    return derive_seed(seed, sample_id, layer, 0, "noise")


def _noise(art: Art, request: SampleRequest, region: Region) -> Tensor:
    """Normal noise ``[channels, height, width]``, on the CPU so that every device begins with the same."""
    seed = noise_seed(request.seed, request.sample_id, region.layer - FIRST_FOREGROUND)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(art.latent_channels, 2 * region.rows, 2 * region.columns, generator=generator)


@dataclass(frozen=True, eq=False)
class _Prompts:
    """Per design, what leads it; `negative` is empty where nothing leads away."""

    positive: list[PromptEmbedding]
    negative: list[PromptEmbedding]


def _embedded(art: Art, requests: Sequence[SampleRequest], settings: SamplerSettings) -> _Prompts:
    """Each distinct prompt is embedded once and alone, so that it cannot depend on others."""
    negatives = [request.negative_prompt for request in requests] if settings.true_cfg > 1 else []
    positives = [request.prompt for request in requests]
    embedded = {prompt: art.text([prompt])[0] for prompt in dict.fromkeys([*positives, *negatives])}
    return _Prompts([embedded[prompt] for prompt in positives], [embedded[prompt] for prompt in negatives])


def _guided_velocities(
    art: Art, designs: Sequence[_Design], times: Sequence[float], prompts: _Prompts, settings: SamplerSettings
) -> list[Tensor]:
    """Velocities ``[n, channels]`` in float32 per design, with true CFG from one forward over both prompts."""
    both = [*prompts.positive, *prompts.negative]
    samples = [
        TokenSample(
            tokens=design.tokens.to(art.dtype),
            positions=design.regions.positions(),
            times=torch.where(design.free, time, 0.0),
            text=prompt.text.to(art.dtype),
            pooled=prompt.pooled.to(art.dtype),
        )
        for (design, time), prompt in zip(cycle(zip(designs, times, strict=True)), both, strict=False)
    ]
    velocities = art.transformer(pack(samples, guidance=settings.guidance)).float()
    parts = torch.split(velocities, [len(sample.tokens) for sample in samples])
    if not prompts.negative:
        return list(parts)
    towards, away = parts[: len(designs)], parts[len(designs) :]
    return [other + settings.true_cfg * (own - other) for own, other in zip(towards, away, strict=True)]


def _finished(art: Art, design: _Design) -> LayeredImage:
    """Decodes all regions jointly, and puts what was held in place of its decoding."""
    regions = design.regions
    latents = [
        tokens_to_latents(design.tokens[own], region.rows, region.columns)
        for own, region in zip(regions.slices, regions.items, strict=True)
    ]
    decoded = art.decoder.decode(art.vae, latents, regions)
    held = design.request.held
    merged = _opaque(decoded[MERGED] if held.merged is None else held.merged)
    base = _opaque(decoded[BACKGROUND] if held.background is None else held.background)
    layers = tuple(
        Layer(held.layers[index], wanted) if index in held.layers else Layer(decoded[region.layer], region.box)
        for index, (wanted, region) in enumerate(
            zip(design.request.layout.boxes, regions.items[FIRST_FOREGROUND:], strict=True)
        )
    )
    return LayeredImage(base, layers, merged)


def _opaque(pixels: UInt8Array) -> UInt8Array:
    """RGB of a region that fills the canvas; it has no alpha by contract, whatever the decoder made of it."""
    return np.ascontiguousarray(pixels[..., :3])
