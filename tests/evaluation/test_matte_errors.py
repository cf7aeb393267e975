"""The errors against cases that can be counted by hand."""

import numpy as np
import pytest
from scipy import ndimage

from evaluation.matte_errors import MatteErrors, connectivity_error, gradient_error, matte_errors, mean_errors
from layered.arrays import FloatArray, UInt8Array


def layer(alpha: FloatArray, color: tuple[int, int, int] = (200, 100, 50)) -> UInt8Array:
    pixels = np.full((*alpha.shape, 4), (*color, 0), np.uint8)
    pixels[..., 3] = np.rint(255 * alpha)
    return pixels


def square(side: int = 40, low: int = 10, high: int = 30) -> FloatArray:
    alpha = np.zeros((side, side), np.float32)
    alpha[low:high, low:high] = 1
    return alpha


def test_a_perfect_matte_has_no_error() -> None:
    true = layer(square())
    assert matte_errors(true, true) == MatteErrors(0, 0, 0, 0, 0, 0)


def test_means_and_sums_are_over_the_whole_picture() -> None:
    true, found = square(), square()
    found[10:30, 10:15] = 0.6  # 100 pixels off by 0.4
    errors = matte_errors(layer(found), layer(true))
    assert errors.mad == pytest.approx(100 * 0.4 / 1600)
    assert errors.mse == pytest.approx(100 * 0.16 / 1600)
    assert errors.sad == pytest.approx(0.04)


def test_colours_count_as_much_as_they_are_seen() -> None:
    alpha = square()
    alpha[10:20] *= 0.2
    true, found = layer(alpha), layer(alpha)
    found[20:30, :, 0] -= 51
    errors = matte_errors(found, true)
    # Solid pixels are five times as visible as the others, and off by 51/255 in one channel of three.
    assert errors.color == pytest.approx(0.2 / 3 * 200 / (200 + 200 * 0.2))
    assert errors.mad == 0


def test_the_gradient_error_is_that_of_gaussian_derivatives() -> None:
    true = square()
    found = ndimage.gaussian_filter(true, 2.0)

    def length(alpha: FloatArray) -> FloatArray:
        across, down = (ndimage.gaussian_filter(alpha, 1.4, order=o, truncate=6) for o in ((0, 1), (1, 0)))
        return np.hypot(across, down)

    # scipy's derivative has the unit response of a derivative, the metric's has unit norm: they differ by one factor.
    factor = 8 * np.pi * 1.4**4
    expected = factor * ((length(found) - length(true)) ** 2).sum()
    assert gradient_error(found, true) == pytest.approx(expected, rel=0.05)


def test_a_piece_apart_is_an_error_of_connectivity_and_a_slightly_softer_edge_is_none() -> None:
    true = square()
    apart = square()
    apart[2:5, 2:5] = 1
    assert connectivity_error(apart, true) == pytest.approx(9)
    softer = square()
    softer[10, 10:30] = 0.95
    assert connectivity_error(softer, true) == 0


def test_a_haze_counts_in_connectivity_as_far_as_it_lies_above_the_object_s_level() -> None:
    true, hazy = square(), square()
    hazy[:5] = 0.4  # 200 pixels that the truth does not connect to anything
    assert connectivity_error(hazy, true) == pytest.approx(200 * 0.4, rel=1e-4)


def test_errors_are_averaged_one_by_one() -> None:
    assert mean_errors([MatteErrors(0, 0, 0, 2, 4, 6), MatteErrors(1, 2, 4, 4, 0, 0)]) == MatteErrors(
        0.5, 1, 2, 3, 2, 3
    )
