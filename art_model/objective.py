"""The loss of rectified flow on packed samples, every region's kind with a weight of its own.

A sample's loss is the weighted sum of its mean squared errors per class (merged, background, foreground), so that a
design with many or large layers counts as much as one with few. A step's loss is the mean over all samples of all
micro-batches and ranks: their number is known before the step begins, so that each part divides by it at once and
gradients simply add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from art_model.questions import CLASSES, Question


class ClassWeights(BaseModel):
    """What an error in each kind of region counts.

    Attributes:
        merged: the model's own prediction of the whole.
        background, foreground: what it is made of.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    merged: float = Field(1.0, ge=0)
    background: float = Field(0.5, ge=0)
    foreground: float = Field(2.0, ge=0)

    def tensor(self) -> Tensor:
        """``[classes]``."""
        return torch.tensor([getattr(self, name) for name in CLASSES])


def class_losses(velocity: Tensor, questions: Sequence[Question], classes: int = len(CLASSES)) -> Tensor:
    """Mean squared error of the velocity per sample and class.

    Args:
        velocity: predicted, of all samples' tokens back to back ``[tokens of all samples, channels]``.

    Returns:
        ``[samples, classes]`` float32; NaN where a sample has no token of a class that carries loss.
    """
    wanted = torch.cat([question.velocity for question in questions]).to(velocity.device)
    errors = (velocity.float() - wanted).square().mean(1)
    rows = []
    for question, own in zip(questions, torch.split(errors, [len(each.times) for each in questions]), strict=True):
        row = []
        for number in range(classes):
            asked = ((question.classes == number) & question.scored).to(own.device)
            row.append(own[asked].mean())  # of nothing: NaN
        rows.append(torch.stack(row))
    return torch.stack(rows)


def summed_loss(losses: Tensor, weights: Tensor) -> Tensor:
    """The sum over samples of weighted `class_losses`; divided by the number of samples of a step it is its loss."""
    # Selected, not multiplied by zero: the gradient of a mean over nothing is NaN.
    asked = ~losses.isnan()
    return (losses[asked] * weights.to(losses.device).expand_as(losses)[asked]).sum()
