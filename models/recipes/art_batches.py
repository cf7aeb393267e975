"""What the tiny ART is asked in training: which regions are held, how noisy the others are, what the prompt says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from art_model.regions import Regions, regions_of
from art_model.schedule import Shift, shift_times
from models.recipes.art_designs import full_caption, partial_caption
from models.recipes.art_latents import LatentDesign

MERGED, BACKGROUND, FOREGROUND, ALONE = CLASSES = range(4)
TOKEN_CHANNELS = 64
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
        classes: `[tokens]`, merged, background, foreground, or a foreground asked for alone.
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
    kinds = [MERGED, BACKGROUND] + [FOREGROUND] * (len(held) - 2)
    return _example(regions, design.tokens.float(), time, held, kinds, prompt, noise)


def random_example(design: LatentDesign, rng: np.random.Generator) -> Example:
    """A question about a whole design."""
    held = held_regions(2 + len(design.boxes), rng)
    empty = EMPTY_PROMPT_WITH_MERGED if held[0] else EMPTY_PROMPT
    prompt = "" if rng.random() < empty else partial_caption(design.contents, rng).text
    return ask(design, _random_time(rng), held, prompt, _noise(len(design.tokens), rng))


def lone_example(design: LatentDesign, rng: np.random.Generator) -> Example:
    """A question about one or two of a design's foregrounds without the merged image, the background and the others.

    It costs a fifth of a whole design and leaves no doubt which thing is meant.
    """
    regions = regions_of(design.canvas, design.boxes)
    count = int(rng.integers(1, 3))
    chosen = sorted(rng.choice(len(design.boxes), count, replace=False).tolist())
    rows = regions.slices
    data = torch.cat([design.tokens[rows[2 + index]] for index in chosen]).float()
    part = replace(regions, items=tuple(regions.items[2 + index] for index in chosen))
    prompt = "" if rng.random() < EMPTY_PROMPT else full_caption(design.contents, chosen, rng)
    return _example(part, data, _random_time(rng), [False] * count, [ALONE] * count, prompt, _noise(len(data), rng))


def _example(
    regions: Regions,
    data: Tensor,
    time: float,
    held: Sequence[bool],
    kinds: Sequence[int],
    prompt: str,
    noise: Tensor,
) -> Example:
    shifted = float(shift_times(torch.tensor(time, dtype=torch.float64), regions, Shift()))
    lengths = torch.tensor(regions.lengths)
    times = torch.tensor([0.0 if given else shifted for given in held]).repeat_interleave(lengths)
    classes = torch.tensor(kinds).repeat_interleave(lengths)
    return Example(regions, prompt, torch.lerp(data, noise, times[:, None]), times, noise - data, classes)


def _random_time(rng: np.random.Generator) -> float:
    """Logit-normal (Esser et al. 2024, section 3.1)."""
    return float(1 / (1 + np.exp(-rng.standard_normal())))


def _noise(tokens: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal((tokens, TOKEN_CHANNELS), dtype=np.float32))
