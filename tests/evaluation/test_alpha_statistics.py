"""The alpha of plain layers has statistics that can be worked out by hand."""

import numpy as np
import pytest

from evaluation.alpha_statistics import AlphaStatistics, alpha_statistics


def pixels(alpha: np.ndarray) -> np.ndarray:
    rgba = np.random.default_rng(0).integers(0, 256, (*alpha.shape, 4), np.uint8)
    rgba[..., 3] = alpha
    return rgba


def test_an_invisible_layer_has_nothing() -> None:
    assert alpha_statistics(np.zeros((9, 9, 4), np.uint8)) == AlphaStatistics(0, 0, 0)


def test_coverage_is_the_mean_and_edges_are_partial() -> None:
    alpha = np.zeros((4, 10), np.uint8)
    alpha[:, :4], alpha[:, 4] = 255, 102
    found = alpha_statistics(pixels(alpha))
    assert found.coverage == pytest.approx(0.44)
    assert found.partial == pytest.approx(0.2)


def test_a_textured_opaque_rectangle_is_one_and_a_disc_is_none() -> None:
    y, x = np.mgrid[:40, :40]
    disc = np.where((x - 19.5) ** 2 + (y - 19.5) ** 2 < 19**2, 255, 0).astype(np.uint8)
    assert alpha_statistics(pixels(np.full((40, 40), 255, np.uint8))).rectangle == 1
    assert alpha_statistics(pixels(disc)).rectangle == 0
