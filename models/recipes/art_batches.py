"""What the tiny ART is asked in training: which regions are held, how noisy the others are, what the prompt says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from art_model.regions import Regions, regions_of
from art_model.schedule import Shift, shift_times
from models.recipes.art_designs import partial_caption
from models.recipes.art_latents import LatentDesign

MERGED, BACKGROUND, FOREGROUND = CLASSES = range(3)
EMPTY_PROMPT = 0.1
EMPTY_PROMPT_WITH_MERGED = 0.3  # a held picture says most of what a prompt could


@dataclass(frozen=True, eq=False)
class Example:
    """One design as a question.

    Attributes:
        regions: its layout.
        prompt: may be empty.
        noisy: `[tokens, channels]`; held regions are clean.
        times: `[tokens]`, 0 where held.
        velocity: `[tokens, channels]`, noise − data.
        classes: `[tokens]`, merged, background or foreground.
    """

    regions: Regions
    prompt: str
    noisy: Tensor
    times: Tensor
    velocity: Tensor
    classes: Tensor


def held_regions(regions: int, rng: np.random.Generator) -> list[bool]:
    """Which of [merged, background, foregrounds …] are given: mostly none; the merged image; the background with all
    foregrounds but one; any part of the layers, with the merged image or without."""
    held = [False] * regions
    kind = rng.random()
    if kind < 0.7:
        return held
    if kind < 0.85:
        held[0] = True
        return held
    if kind < 0.925:
        held = [False] + [True] * (regions - 1)
        held[int(rng.integers(2, regions))] = False
        return held
    held = [bool(rng.random() < part) for part in (0.3, *[0.5] * (regions - 1))]
    held[int(rng.integers(1, regions))] = False
    return held


def ask(design: LatentDesign, time: float, held: Sequence[bool], prompt: str, noise: Tensor) -> Example:
    """The question at one time, before the shift, for all regions that are not held."""
    regions = regions_of(design.canvas, design.boxes)
    data = design.tokens.float()
    shifted = float(shift_times(torch.tensor(time, dtype=torch.float64), regions, Shift()))
    region_times = torch.tensor([0.0 if given else shifted for given in held])
    lengths = torch.tensor(regions.lengths)
    times = region_times.repeat_interleave(lengths)
    kinds = torch.tensor([MERGED, BACKGROUND] + [FOREGROUND] * (len(held) - 2))
    return Example(
        regions, prompt, torch.lerp(data, noise, times[:, None]), times, noise - data, kinds.repeat_interleave(lengths)
    )


def random_example(design: LatentDesign, rng: np.random.Generator) -> Example:
    """A question of training: logit-normal times (Esser et al. 2024, section 3.1)."""
    held = held_regions(2 + len(design.boxes), rng)
    empty = EMPTY_PROMPT_WITH_MERGED if held[0] else EMPTY_PROMPT
    prompt = "" if rng.random() < empty else partial_caption(design.contents, rng).text
    time = float(1 / (1 + np.exp(-rng.standard_normal())))
    noise = torch.from_numpy(rng.standard_normal(design.tokens.shape, dtype=np.float32))
    return ask(design, time, held, prompt, noise)
