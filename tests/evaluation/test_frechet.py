"""The Fréchet distance has the closed form of normal distributions, and agrees with the matrix root of scipy."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from evaluation.frechet import enough_for_frechet, frechet_distance


def test_a_shift_and_a_stretch_have_the_closed_form() -> None:
    features = np.random.default_rng(0).normal(size=(50, 3))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([1, 2, 2])) == pytest.approx(9)
    variances = np.cov(features.T)
    assert frechet_distance(features, 3 * features) == pytest.approx(
        4 * np.trace(variances) + 4 * (features.mean(0) ** 2).sum()
    )


def test_it_agrees_with_the_root_of_the_product() -> None:
    rng = np.random.default_rng(1)
    one, other = (rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4)) for _ in range(2))
    a, b = np.cov(one.T), np.cov(other.T)
    difference = one.mean(0) - other.mean(0)
    expected = difference @ difference + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(one, other) == pytest.approx(expected)


def test_four_pictures_per_dimension_are_enough() -> None:
    assert enough_for_frechet(768, 192)
    assert not enough_for_frechet(767, 192)
