"""PSNR and SSIM have the values of closed forms and of a window worked out by hand."""

import numpy as np
import pytest

from evaluation.similarity import psnr, ssim


def noise(seed: int, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_psnr_is_that_of_a_known_error() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == 60
    assert psnr(black, black + 255) == pytest.approx(0)
    assert psnr(black, black + 51) == pytest.approx(20 * np.log10(5))


def test_equal_pictures_are_wholly_alike_and_order_does_not_matter() -> None:
    assert ssim(noise(0), noise(0)) == pytest.approx(1)
    assert ssim(noise(0), noise(1)) == pytest.approx(ssim(noise(1), noise(0)))
    assert abs(ssim(noise(0), noise(1))) < 0.1


def test_plain_pictures_differ_by_their_luminance_alone() -> None:
    one, other = np.full((16, 16, 3), 50, np.uint8), np.full((16, 16, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(one, other) == pytest.approx((2 * 50 * 150 + c1) / (50**2 + 150**2 + c1))


def test_ssim_is_that_of_windows_taken_one_by_one() -> None:
    one, other = noise(2, 7).astype(float), noise(3, 7).astype(float)
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = (np.outer(line, line) / line.sum() ** 2)[..., None]
    padded = [np.pad(each, ((5, 5), (5, 5), (0, 0)), mode="symmetric") for each in (one, other)]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y, x in np.ndindex(7, 7):
        a, b = (each[y : y + 11, x : x + 11] for each in padded)
        mean_a, mean_b = (weights * a).sum((0, 1)), (weights * b).sum((0, 1))
        variances = (weights * (a - mean_a) ** 2).sum((0, 1)) + (weights * (b - mean_b) ** 2).sum((0, 1))
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum((0, 1))
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        values.append(luminance * (2 * covariance + c2) / (variances + c2))
    assert ssim(noise(2, 7), noise(3, 7)) == pytest.approx(np.mean(values))
