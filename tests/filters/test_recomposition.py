"""Recomposition: PSNR of the composite and a model's own prediction."""

import numpy as np
import pytest

from filters.config import FiltersConfig
from filters.recomposition import Recomposition, psnr
from layered.scores import WHOLE_IMAGE
from tests.filters.designs import Plain, design

LAYERS = [Plain((10, 10, 60, 60)), Plain((80, 30, 150, 120), (30, 60, 200))]


def test_a_sample_without_a_merged_image_has_no_score() -> None:
    assert Recomposition().score([design(LAYERS)])[0].scores == ()


def test_layers_that_add_up_pass_and_others_do_not() -> None:
    whole = design(LAYERS).image.whole()
    (exact,) = Recomposition().score([design(LAYERS, merged=whole)])[0].scores
    assert (exact.name, exact.layer_index, exact.score) == ("recomposition", WHOLE_IMAGE, 99.0)
    threshold = FiltersConfig().thresholds()["recomposition"]
    noisy = np.clip(whole + np.random.default_rng(0).normal(0, 10, whole.shape), 0, 255).astype(np.uint8)
    assert Recomposition().score([design(LAYERS, merged=noisy)])[0].scores[0].score > threshold
    without = design(LAYERS[:1]).image.whole()
    assert Recomposition().score([design(LAYERS, merged=without)])[0].scores[0].score < threshold


@pytest.mark.parametrize(("difference", "expected"), [(255, 0.0), (25.5, 20.0), (2.55, 40.0)])
def test_the_formula(difference: float, expected: float) -> None:
    # The mean square of steps of 2 and 3 is that of 2.55 to within two tenths of a decibel.
    other = np.full((64, 64, 3), int(difference), np.uint8)
    other.reshape(-1)[: round((difference % 1) * other.size)] += 1
    assert psnr(np.zeros((64, 64, 3), np.uint8), other) == pytest.approx(expected, abs=0.2)
