"""What the tiny ART is asked in training: which regions are held, how noisy the others are, what the prompt says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from art_model import questions
from art_model.questions import CLASSES as OF_DESIGNS
from art_model.questions import FOREGROUND, Question, QuestionConfig, held_regions, is_prompt_left_out, random_time
from art_model.regions import BACKGROUND, MERGED, Regions, regions_of
from art_model.schedule import Shift
from models.recipes.art_designs import full_caption, partial_caption
from models.recipes.art_latents import LatentDesign

CLASSES = (*OF_DESIGNS, "alone")
ALONE = CLASSES.index("alone")
TOKEN_CHANNELS = 64
MIXTURE = QuestionConfig()


@dataclass(frozen=True, eq=False)
class Example(Question):
    """One design as a question; its prompt may be empty."""

    prompt: str


def ask(design: LatentDesign, time: float, held: Sequence[bool], prompt: str, noise: Tensor) -> Example:
    """The question at one time, before the shift, for all regions that are not held."""
    regions = regions_of(design.canvas, design.boxes)
    kinds = [MERGED, BACKGROUND] + [FOREGROUND] * (len(held) - 2)
    return _example(regions, design.tokens.float(), time, held, kinds, prompt, noise)


def random_example(design: LatentDesign, rng: np.random.Generator) -> Example:
    """A question about a whole design."""
    held = held_regions([False] * (2 + len(design.boxes)), MIXTURE, rng)
    prompt = "" if is_prompt_left_out(held, MIXTURE, rng) else partial_caption(design.contents, rng).text
    return ask(design, random_time(MIXTURE, rng), held, prompt, _noise(len(design.tokens), rng))


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
    held = [False] * count
    prompt = "" if rng.random() < MIXTURE.empty_prompt else full_caption(design.contents, chosen, rng)
    time = random_time(MIXTURE, rng)
    return _example(part, data, time, held, [ALONE] * count, prompt, _noise(len(data), rng))


def _example(
    regions: Regions,
    data: Tensor,
    time: float,
    held: Sequence[bool],
    kinds: Sequence[int],
    prompt: str,
    noise: Tensor,
) -> Example:
    question = questions.ask(regions, data, kinds, held=held, time=time, noise=noise, shift=Shift())
    return Example(**vars(question), prompt=prompt)


def _noise(tokens: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal((tokens, TOKEN_CHANNELS), dtype=np.float32))
