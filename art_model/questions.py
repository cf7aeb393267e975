"""What the model is asked in training: which regions are given, how noisy the others are, whether there is a prompt.

One model learns text → layers, image → layers and layers → layers by which regions are clean and which are noised
(MRT, arXiv 2605.27235). Given regions are clean tokens at time 0 and carry no loss; so are text layers, always, since a
font draws them and sampling holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from art_model.regions import BACKGROUND, FIRST_FOREGROUND, MERGED, Regions
from art_model.schedule import Shift, shift_times
from layered.box import Box

if TYPE_CHECKING:
    from typing import Self

FOREGROUND = 2
CLASSES = ("merged", "background", "foreground")
"""What the loss tells apart; a token's class is its place in this list."""

_HELD_MERGED = 0.3
_HELD_LAYER = 0.5


class QuestionConfig(BaseModel):
    """The mixture of questions.

    Attributes:
        text_to_layers, image_to_layers, layers_to_layers: shares, which sum to 1. Half of the third kind gives the
            background and all foregrounds but one, the other half any part, the merged image among it.
        empty_prompt: how often the prompt is left out, for classifier-free guidance.
        empty_prompt_with_merged: the same where the merged image is given, which says most of what a prompt could.
        reordered: how often layers that do not overlap change places: no pixel depends on their order.
        times: before the checkpoint's shift. ``logit_normal`` (Esser et al. 2024, arXiv 2403.03206, section 3.1), or
            ``uniform``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    text_to_layers: float = Field(0.7, ge=0)
    image_to_layers: float = Field(0.15, ge=0)
    layers_to_layers: float = Field(0.15, ge=0)
    empty_prompt: float = Field(0.1, ge=0, le=1)
    empty_prompt_with_merged: float = Field(0.3, ge=0, le=1)
    reordered: float = Field(0.5, ge=0, le=1)
    times: Literal["logit_normal", "uniform"] = "logit_normal"

    @model_validator(mode="after")
    def _is_a_mixture(self) -> Self:
        total = self.text_to_layers + self.image_to_layers + self.layers_to_layers
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the kinds of questions sum to {total:g}, not to 1")
        return self


@dataclass(frozen=True, eq=False)
class Question:
    """One design, or a part of one, as the model sees it and as it should answer.

    Attributes:
        regions: where its tokens stand.
        noisy: ``[tokens, channels]``, clean where given.
        times: ``[tokens]``, 0 where given.
        velocity: ``[tokens, channels]``, noise − data.
        classes: ``[tokens]`` int64, the kind of region that a token belongs to.
    """

    regions: Regions
    noisy: Tensor
    times: Tensor
    velocity: Tensor
    classes: Tensor

    @property
    def scored(self) -> Tensor:
        """``[tokens]`` bool: those that carry loss."""
        return self.times > 0


def held_regions(fixed: Sequence[bool], config: QuestionConfig, rng: np.random.Generator) -> list[bool]:
    """Which of [merged, background, foregrounds …] are given; at least one region is not.

    Args:
        fixed: regions that are given in any case; merged and background never are.
    """
    held = list(fixed)
    free = [index for index in range(FIRST_FOREGROUND, len(held)) if not fixed[index]]
    kind = rng.random()
    if kind < config.text_to_layers:
        return held
    if kind < config.text_to_layers + config.image_to_layers:
        held[MERGED] = True
        return held
    if kind < config.text_to_layers + config.image_to_layers + config.layers_to_layers / 2:
        held = [False] + [True] * (len(held) - 1)
        held[_one_of(free or [BACKGROUND], rng)] = False
        return held
    shares = (_HELD_MERGED, *[_HELD_LAYER] * (len(held) - 1))
    held = [given or bool(rng.random() < share) for given, share in zip(fixed, shares, strict=True)]
    held[_one_of([BACKGROUND, *free], rng)] = False
    return held


def is_prompt_left_out(held: Sequence[bool], config: QuestionConfig, rng: np.random.Generator) -> bool:
    """Whether the question comes with an empty prompt."""
    return bool(rng.random() < (config.empty_prompt_with_merged if held[MERGED] else config.empty_prompt))


def random_time(config: QuestionConfig, rng: np.random.Generator) -> float:
    """A time before the shift, 0 (data) … 1 (noise); never 0."""
    if config.times == "uniform":
        return 1 - float(rng.random())
    return float(1 / (1 + np.exp(-rng.standard_normal())))


def random_order(boxes: Sequence[Box], rng: np.random.Generator) -> list[int]:
    """Another order of foregrounds, bottom to top, that gives the same picture: overlapping ones keep theirs."""
    order = list(range(len(boxes)))
    for _ in range(len(boxes)):
        for place in range(len(boxes) - 1):
            below, above = order[place], order[place + 1]
            if rng.random() < 0.5 and boxes[below].intersection(boxes[above]) is None:
                order[place], order[place + 1] = above, below
    return order


def ask(
    regions: Regions,
    data: Tensor,
    classes: Sequence[int],
    *,
    held: Sequence[bool],
    time: float,
    noise: Tensor,
    shift: Shift,
) -> Question:
    """The question about all regions that are not given, at one time.

    Args:
        data: clean tokens ``[tokens, channels]``, float32.
        classes: the class of each region.
        held: whether each region is given.
        time: before the shift.
        noise: as `data`.
    """
    shifted = float(shift_times(torch.tensor(time, dtype=torch.float64), regions, shift))
    lengths = torch.tensor(regions.lengths)
    times = torch.tensor([0.0 if given else shifted for given in held]).repeat_interleave(lengths)
    return Question(
        regions=regions,
        noisy=torch.lerp(data, noise, times[:, None]),
        times=times,
        velocity=noise - data,
        classes=torch.tensor(classes).repeat_interleave(lengths),
    )


def _one_of(places: Sequence[int], rng: np.random.Generator) -> int:
    return places[int(rng.integers(len(places)))]
