"""KID and CMMD are unbiased, agree with a plain double loop and with a closed form, and never compare one brief's
pictures."""

import itertools

import numpy as np
import pytest

from evaluation.kernel_distances import cmmd, discrepancy, gaussian, kid, polynomial


def normal(seed: int, count: int, mean: float = 0.0, dim: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (count, dim))


def briefs(name: str, count: int, each: int = 1) -> list[str]:
    return [f"{name}{number // each}" for number in range(count)]


def test_it_is_the_published_estimate_where_no_brief_repeats() -> None:
    one, other = normal(0, 7), normal(1, 5, 0.5)

    def mean(pairs: list[float]) -> float:
        return float(np.mean(pairs))

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 4 + 1) ** 3)

    within = [mean([kernel(x, y) for x, y in itertools.permutations(each, 2)]) for each in (one, other)]
    across = mean([kernel(x, y) for x in one for y in other])
    assert kid(one, briefs("a", 7), other, briefs("b", 5)).value == pytest.approx(sum(within) - 2 * across)


def test_pairs_of_one_brief_are_left_out() -> None:
    one, other = normal(2, 6), normal(3, 6)
    names = briefs("x", 6, 2)
    different = [(i, j) for i in range(6) for j in range(6) if names[i] != names[j]]
    value = np.mean([polynomial(one, one)[i, j] + polynomial(other, other)[i, j] for i, j in different])
    value -= 2 * np.mean([polynomial(one, other)[i, j] for i, j in different])
    assert kid(one, names, other, names).value == pytest.approx(value)


def test_the_linear_kernel_has_the_squared_distance_of_the_means_as_its_average() -> None:
    """A closed form: E |mean₁ − mean₂|² without the bias of variances, which the plain mean over all pairs has."""

    def linear(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b.T

    shift = 0.7
    values = []
    for seed in range(300):
        one, other = normal(2 * seed, 12), normal(2 * seed + 1, 9, shift)
        values.append(discrepancy(linear, one, briefs("a", 12), other, briefs("b", 9)).value)
    assert np.mean(values) == pytest.approx(4 * shift**2, abs=4 * np.std(values) / 300**0.5)


@pytest.mark.parametrize("distance", [kid, cmmd])
@pytest.mark.parametrize("paired", [False, True], ids=["independent", "of the same briefs"])
def test_equal_distributions_have_none_on_average(distance: object, paired: bool) -> None:
    """Also where pictures of one brief are nearly the same, in one set and across the sets."""
    assert callable(distance)
    values = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        of_briefs = rng.normal(size=(2, 10, 4))
        names = [briefs("a", 20, 2), briefs("a" if paired else "b", 20, 2)]
        sets = [np.repeat(of_briefs[0 if paired else k], 2, axis=0) + rng.normal(0, 0.1, (20, 4)) for k in range(2)]
        values.append(distance(sets[0], names[0], sets[1], names[1]).value)
    assert abs(np.mean(values)) < 3.5 * np.std(values) / len(values) ** 0.5
    assert np.std(values) > 0


def test_farther_distributions_are_farther_apart() -> None:
    found = [kid(normal(0, 40), briefs("a", 40), normal(1, 40, mean), briefs("b", 40)) for mean in (0, 0.5, 1, 2)]
    values = [each.value for each in found]
    assert values == sorted(values)
    assert found[0].low < 0 < found[0].high
    assert found[-1].low > 0
    assert all(each.low <= each.value <= each.high for each in found)


def test_cmmd_is_scaled_and_of_a_gaussian() -> None:
    one, other = np.eye(3), -np.eye(3)
    assert gaussian(one, other)[0, 0] == pytest.approx(np.exp(-4 / 200))
    value = 2 * np.exp(-2 / 200) - 2 * np.mean([gaussian(one, other)[i, j] for i, j in np.ndindex(3, 3)])
    assert cmmd(one, briefs("a", 3), other, briefs("b", 3)).value == pytest.approx(1000 * value)


def test_one_brief_is_not_enough() -> None:
    with pytest.raises(ValueError, match="at least two briefs, not of 1"):
        kid(normal(0, 4), briefs("a", 4, 4), normal(1, 4), briefs("b", 4))
