"""Noise that lies near: what is chosen is what was asked for, and what it does to the noise is measured."""

import itertools

import pytest
import torch

from art_model.noise import NoiseConfig, NoiseKind, NoiseMeasures, NoiseTarget, assigned, draw_noise, nearest, pooled
from art_model.packing import latents_to_tokens
from art_model.regions import regions_of
from layered.box import Box

CANVAS = (64, 64)
BOXES = (Box(0, 0, 32, 48), Box(10, 20, 20, 30))


def targets(count: int, seed: int = 0) -> list[NoiseTarget]:
    regions = regions_of(CANVAS, BOXES)
    source = torch.Generator().manual_seed(seed)
    return [
        NoiseTarget(
            regions,
            torch.randn(regions.tokens, 64, generator=source),
            torch.randn(8, generator=source),
            torch.Generator().manual_seed(100 + index),
        )
        for index in range(count)
    ]


def test_independent_noise_depends_on_its_own_generator_alone() -> None:
    alone, among = draw_noise(targets(1), NoiseConfig()), draw_noise(targets(3), NoiseConfig())
    assert torch.equal(alone[0], among[0])
    assert not torch.equal(among[0], among[1])


def test_best_of_k_lies_nearer_in_large_regions_and_leaves_small_ones_alone() -> None:
    config = NoiseConfig(kind="best_of_k", smallest=6)
    independent, chosen = draw_noise(targets(16), NoiseConfig()), draw_noise(targets(16), config)
    for index, region in enumerate(targets(1)[0].regions.items):
        place = targets(1)[0].regions.slices[index]
        ways = [
            sum(
                float((pooled(target.data[place], region, 8) - pooled(noise[place], region, 8)).square().sum())
                for target, noise in zip(targets(16), noises, strict=True)
            )
            for noises in (independent, chosen)
        ]
        same = all(torch.equal(one[place], other[place]) for one, other in zip(independent, chosen, strict=True))
        assert same == (region.tokens < config.smallest)
        assert same or ways[1] < ways[0]


def test_the_nearest_candidate_is_the_one_at_the_least_distance() -> None:
    data, candidates = torch.randn(5, 7), torch.randn(5, 4, 7)
    by_hand = [min(range(4), key=lambda k: float((candidates[n, k] - data[n]).norm())) for n in range(5)]
    assert nearest(data, candidates).tolist() == by_hand


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_an_assignment_is_the_best_of_all_permutations(weight: float) -> None:
    source = torch.Generator().manual_seed(0)
    data, noise = torch.randn(5, 3, generator=source).double(), torch.randn(5, 3, generator=source).double()
    conditions = torch.nn.functional.normalize(torch.randn(5, 4, generator=source).double(), dim=1)
    costs = (data[:, None] - noise[None]).square().sum(-1)
    costs = costs + weight * costs.std() * (1 - conditions @ conditions.T)
    best = min(itertools.permutations(range(5)), key=lambda order: sum(costs[i, j] for i, j in enumerate(order)))
    found = assigned(data, noise, conditions if weight else None, weight)
    assert found.tolist() == list(best)


def test_a_heavy_condition_keeps_noise_among_samples_of_one_prompt() -> None:
    conditions = torch.eye(2).repeat_interleave(4, 0)
    source = torch.Generator().manual_seed(1)
    order = assigned(torch.randn(8, 3, generator=source), torch.randn(8, 3, generator=source), conditions, 1e4)
    assert set(order[:4].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["assignment", "c2ot"])
def test_noise_is_exchanged_between_samples_part_by_part_and_never_inside_one(kind: str) -> None:
    drawn = draw_noise(targets(6), NoiseConfig())
    moved = draw_noise(targets(6), NoiseConfig.model_validate({"kind": kind, "condition_weight": 0.1}))
    slices = targets(1)[0].regions.slices
    for layer, place in enumerate(slices):
        sources = [next(j for j in range(6) if torch.equal(moved[i][place], drawn[j][place])) for i in range(6)]
        assert sorted(sources) == list(range(6))
        assert (sources == list(range(6))) == (layer >= 2)


def test_designs_of_other_canvases_exchange_nothing() -> None:
    small = regions_of((32, 32), [])
    data, condition = torch.randn(8, 64), torch.randn(8)

    def noises(kind: NoiseKind) -> list[torch.Tensor]:
        other = NoiseTarget(small, data, condition, torch.Generator().manual_seed(7))
        return draw_noise([*targets(1), other], NoiseConfig(kind=kind))

    drawn, moved = noises("independent"), noises("assignment")
    assert all(torch.equal(one, same) for one, same in zip(drawn, moved, strict=True))


def test_pooling_is_the_mean_of_blocks_of_the_latents() -> None:
    region = regions_of((128, 128), []).items[0]
    latents = torch.randn(16, 16, 16)
    expected = latents.reshape(16, 8, 2, 8, 2).mean((2, 4))
    torch.testing.assert_close(pooled(latents_to_tokens(latents), region, 8), expected)


def test_measures_see_noise_that_was_bent_and_call_independent_noise_straight() -> None:
    straight, bent = NoiseMeasures(8), NoiseMeasures(8)
    every = targets(40)
    straight.add(every, draw_noise(every, NoiseConfig()))
    fresh = targets(40)
    noises = zip(fresh, draw_noise(fresh, NoiseConfig()), strict=True)
    bent.add(fresh, [noise * 0.8 + 0.1 * target.data for target, noise in noises])
    found, changed = straight.scalars(), bent.scalars()
    assert len(found) == 1 + 2 * 16
    assert all(abs(found[f"mean_{channel:02d}"]) < 0.1 for channel in range(16))
    assert all(found[f"std_{channel:02d}"] == pytest.approx(1, abs=0.06) for channel in range(16))
    assert all(changed[f"std_{channel:02d}"] < 0.9 for channel in range(16))
    assert abs(found["cosine"]) < 0.01 < changed["cosine"]
    assert straight.scalars() == {}
