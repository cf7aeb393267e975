"""What the tiny ART's training minimises, and that a stopped training goes on where it was."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from art_model.regions import regions_of
from layered.box import Box
from models.recipes.art_batches import BACKGROUND, FOREGROUND, MERGED, Example, ask
from models.recipes.art_designs import Contents
from models.recipes.art_latents import LatentDesign
from models.recipes.train_art import TextToLayers, losses
from models.recipes.training_state import load_average_state, load_state, save_state

BOXES = (Box(5, 5, 40, 40), Box(30, 40, 60, 60))
REGIONS = regions_of((64, 64), BOXES)
DESIGN = LatentDesign(
    torch.randn(REGIONS.tokens, 64, generator=torch.Generator().manual_seed(0)).half(),
    (64, 64),
    BOXES,
    Contents(("dog", "cow"), (True, True), "farm", "meadow", None),
)
NOISE = torch.randn(REGIONS.tokens, 64, generator=torch.Generator().manual_seed(1))


class Oracle:
    """Knows the velocity, but is off by a given amount in each region."""

    def __init__(self, examples: Sequence[Example], errors: Sequence[float]) -> None:
        self.examples, self.errors = examples, errors

    def velocity(self, regions: object, noisy: object, times: object, prompts: object) -> Tensor:
        lengths = torch.tensor(REGIONS.lengths)
        off = torch.tensor(self.errors).repeat_interleave(lengths)[:, None]
        return torch.cat([each.velocity + off for each in self.examples])


def test_the_loss_is_a_mean_per_class_and_held_regions_cost_nothing() -> None:
    nothing, merged = [False] * 4, [True, False, False, False]
    examples = [ask(DESIGN, 0.5, held, "a farm", NOISE) for held in (nothing, merged)]
    found = losses(Oracle(examples, [5.0, 0.5, 1.0, 1.0]), examples)  # type: ignore[arg-type]
    assert found[[MERGED, BACKGROUND, FOREGROUND]].tolist() == pytest.approx([25, 0.25, 1.0], rel=1e-4)
    held_only = losses(Oracle(examples[1:], [5.0, 0.5, 1.0, 1.0]), examples[1:])  # type: ignore[arg-type]
    assert held_only[MERGED].isnan()
    assert held_only[BACKGROUND].item() == pytest.approx(0.25, rel=1e-4)


def test_the_model_starts_as_the_tiny_flux_and_learns_a_design_by_heart() -> None:
    torch.manual_seed(0)
    model = TextToLayers()
    examples = [ask(DESIGN, time, [False] * 4, "a farm with a dog", NOISE) for time in (0.3, 0.8)]
    frozen = copy.deepcopy(model.prompts.text_encoder.state_dict())
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-3)
    course = []
    for _ in range(8):
        loss = losses(model, examples)[:3].sum()
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        course.append(loss.item())
    assert course[-1] < 0.8 * course[0]
    for name, weight in model.prompts.text_encoder.state_dict().items():
        assert torch.equal(weight, frozen[name])


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    data = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 4), dtype=np.float32))

    def build() -> tuple[nn.Linear, nn.Linear, list[torch.optim.Optimizer]]:
        torch.manual_seed(1)
        model = nn.Linear(4, 4)
        optimizers = [torch.optim.AdamW([model.bias], lr=0.1), torch.optim.Muon([model.weight], lr=0.1)]
        return model, copy.deepcopy(model), optimizers

    def run(model: nn.Linear, average: nn.Linear, optimizers: list[torch.optim.Optimizer], steps: int) -> None:
        for _ in range(steps):
            torch.autograd.backward((model(data) - 1).square().mean())
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 0.5)

    undisturbed = build()
    run(*undisturbed, 6)
    stopped = build()
    run(*stopped, 3)
    save_state(tmp_path, stopped[0], stopped[1], stopped[2], 3, 1.5)
    resumed = build()
    assert load_state(tmp_path, *resumed) == (3, 1.5)
    run(*resumed, 3)
    for after, before in zip(resumed[:2], undisturbed[:2], strict=True):
        assert torch.equal(after.weight, before.weight)
        assert torch.equal(after.bias, before.bias)
    alone = nn.Linear(4, 4)
    load_average_state(tmp_path, alone)
    assert torch.equal(alone.weight, stopped[1].weight)
