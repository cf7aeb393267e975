"""The loss: a mean per class and sample, and packed samples count exactly as single ones do."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from art_model.objective import ClassWeights, class_losses, summed_loss
from art_model.packing import TokenSample, pack
from art_model.questions import Question, ask
from art_model.regions import regions_of
from art_model.schedule import Shift
from art_model.transformer import RegionTransformer
from layered.box import Box

LAYOUTS = (
    ((64, 64), [Box(0, 0, 30, 40), Box(20, 20, 64, 64)], [False, False, False, False], 0.3),
    ((48, 32), [Box(5, 5, 20, 20)], [True, False, False], 0.8),
    ((32, 64), [Box(0, 0, 32, 32), Box(0, 32, 20, 64)], [False, True, True, False], 0.6),
)
WEIGHTS = ClassWeights(merged=1.0, background=0.5, foreground=2.0).tensor()


def questions() -> list[Question]:
    source = torch.Generator().manual_seed(0)
    found = []
    for canvas, boxes, held, time in LAYOUTS:
        regions = regions_of(canvas, boxes)
        data, noise = (torch.randn(regions.tokens, 8, generator=source) for _ in range(2))
        classes = [0, 1] + [2] * len(boxes)
        found.append(ask(regions, data, classes, held=held, time=time, noise=noise, shift=Shift()))
    return found


def test_a_loss_is_the_mean_over_the_scored_tokens_of_a_class() -> None:
    asked = questions()
    wanted = torch.cat([question.velocity for question in asked])
    losses = class_losses(wanted + 0.5, asked)
    assert losses.shape == (3, 3)
    assert losses.isnan().tolist() == [[False] * 3, [True, False, False], [False, True, False]]
    assert losses[~losses.isnan()].tolist() == pytest.approx([0.25] * 7, rel=1e-4)
    assert float(summed_loss(losses, WEIGHTS)) == pytest.approx(0.25 * (3.5 + 2.5 + 3.0), rel=1e-4)


def test_given_tokens_cost_nothing_however_wrong_they_are() -> None:
    asked = questions()
    wanted = torch.cat([question.velocity for question in asked])
    scored = torch.cat([question.scored for question in asked])
    losses = class_losses(wanted + 1e3 * ~scored[:, None], asked)
    assert float(losses.nansum()) == 0


def _velocity(transformer: RegionTransformer, asked: Sequence[Question]) -> Tensor:
    source = torch.Generator().manual_seed(1)
    texts = [torch.randn(3 + number, 16, generator=source).double() for number in range(3)]
    vectors = [torch.randn(12, generator=source).double() for _ in range(3)]
    order = [LAYOUTS.index(next(each for each in LAYOUTS if each[0] == one.regions.canvas)) for one in asked]
    samples = [
        TokenSample(one.noisy.double(), one.regions.positions(), one.times.double(), texts[number], vectors[number])
        for one, number in zip(asked, order, strict=True)
    ]
    velocity: Tensor = transformer(pack(samples))
    return velocity


def test_packed_loss_and_gradients_are_the_mean_of_single_samples() -> None:
    torch.manual_seed(0)
    transformer = RegionTransformer(
        in_channels=8, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=12, axes_dims_rope=(4, 6, 6),
    ).double()  # fmt: skip
    asked = questions()
    count = len(asked)

    packed = summed_loss(class_losses(_velocity(transformer, asked), asked), WEIGHTS) / count
    torch.autograd.backward(packed)
    together = {name: each.grad.clone() for name, each in transformer.named_parameters() if each.grad is not None}
    transformer.zero_grad()

    singles = []
    for question in asked:
        loss = summed_loss(class_losses(_velocity(transformer, [question]), [question]), WEIGHTS) / count
        torch.autograd.backward(loss)  # gradients of micro-batches add up
        singles.append(float(loss.detach()))
    assert float(packed.detach()) == pytest.approx(sum(singles), rel=1e-6)
    for name, each in transformer.named_parameters():
        if name in together:
            torch.testing.assert_close(each.grad, together[name], rtol=1e-4, atol=1e-7)
    assert len(together) > 20
