"""The digits experiment measures what it says: distances with a closed form, noise of the stated kinds."""

import pytest
import torch

from benchmarks.immiscible_digits import digits, frechet_distance, measure, noise_for


def test_the_distance_is_that_of_fitted_normal_distributions() -> None:
    source = torch.Generator().manual_seed(0)
    values = torch.randn(20_000, 3, generator=source)
    scales, shift = torch.tensor([2.0, 1.0, 0.5]), torch.tensor([1.0, 0.0, 0.0])
    assert frechet_distance(values, values) == pytest.approx(0, abs=1e-6)
    closed_form = float(((scales - 1) ** 2).sum() + 1)
    assert frechet_distance(values, values * scales + shift) == pytest.approx(closed_form, rel=0.05)


def test_each_kind_of_noise_is_nearer_than_independent_noise() -> None:
    data, labels = (each[:64] for each in digits())

    def distance(kind: str) -> float:
        noise = noise_for(data, labels, kind, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
        return float((noise - data).square().sum(1).mean())

    assert distance("assignment") < distance("c2ot") < distance("independent")
    assert distance("best_of_k") < distance("independent")


def test_a_short_run_gives_a_distance_for_each_number_of_steps() -> None:
    row = measure("best_of_k", True, 0, 3)
    assert set(row.distances) == {2, 5, 30}
    assert all(value > 0 for value in row.distances.values())
