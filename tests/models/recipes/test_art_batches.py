"""Questions of ART's training: held regions are clean and cost nothing, the others are noised as the schedule says."""

import numpy as np
import pytest
import torch

from art_model.regions import regions_of
from art_model.schedule import Shift, shift_times
from layered.box import Box
from models.recipes.art_batches import ALONE, ask, lone_example, random_example
from models.recipes.art_designs import Contents
from models.recipes.art_latents import LatentDesign

BOXES = (Box(5, 5, 60, 60), Box(-20, 40, 50, 100), Box(70, 10, 140, 70))
REGIONS = regions_of((128, 128), BOXES)
CONTENTS = Contents(("dog", "cow", "red circle"), (True, True, False), "farm", "meadow", None)
DESIGN = LatentDesign(
    torch.randn(REGIONS.tokens, 64, generator=torch.Generator().manual_seed(0)).half(), (128, 128), BOXES, CONTENTS
)
NOISE = torch.randn(REGIONS.tokens, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("held", [[False] * 5, [True, False, False, False, False], [False, True, True, False, True]])
def test_held_tokens_are_clean_and_the_others_lie_between_data_and_noise(held: list[bool]) -> None:
    example = ask(DESIGN, 0.4, held, "a farm", NOISE)
    given = torch.tensor(held).repeat_interleave(torch.tensor(REGIONS.lengths))
    data = DESIGN.tokens.float()
    assert torch.equal(example.noisy[given], data[given])
    assert (example.times[given] == 0).all()
    shifted = shift_times(torch.tensor(0.4, dtype=torch.float64), REGIONS, Shift())
    torch.testing.assert_close(example.times[~given], shifted.float().expand(int((~given).sum())))
    torch.testing.assert_close(example.noisy - example.times[:, None] * example.velocity, data)
    torch.testing.assert_close(example.noisy + (1 - example.times[:, None]) * example.velocity * ~given[:, None],
                               torch.where(given[:, None], data, NOISE))  # fmt: skip
    assert example.classes.bincount().tolist() == [64, 64, REGIONS.tokens - 128]


def test_random_questions_name_things_of_the_design_or_nothing() -> None:
    rng = np.random.default_rng(1)
    prompts = [random_example(DESIGN, rng).prompt for _ in range(300)]
    assert 0.06 < prompts.count("") / 300 < 0.22
    assert all("red circle" in prompt for prompt in prompts if prompt)


def test_a_part_of_a_design_keeps_its_places_and_names_all_that_it_shows() -> None:
    rng = np.random.default_rng(2)
    data = dict(enumerate(torch.split(DESIGN.tokens.float(), list(REGIONS.lengths))))
    seen = set()
    for _ in range(60):
        example = lone_example(DESIGN, rng)
        layers = [region.layer for region in example.regions.items]
        seen.add(tuple(layers))
        assert example.regions.canvas == (128, 128)
        assert [REGIONS.items[layer] for layer in layers] == list(example.regions.items)
        shown = torch.cat([data[layer] for layer in layers])
        torch.testing.assert_close(example.noisy - example.times[:, None] * example.velocity, shown)
        assert set(example.classes.tolist()) == {ALONE}
        assert not example.prompt or all(CONTENTS.labels[layer - 2] in example.prompt for layer in layers)
    assert seen == {(2,), (3,), (4,), (2, 3), (2, 4), (3, 4)}
