"""How alike two pictures are: PSNR and SSIM."""

from __future__ import annotations

from typing import Final

import numpy as np

from filters.recomposition import psnr as unlimited_psnr
from layered.arrays import UInt8Array

MOST_DB: Final = 60.0
"""The PSNR of equal pictures, whose own has no end: one such pair must not decide a mean."""

_SIGMA: Final = 1.5  # pixels, of the window
_REACH: Final = 3.5  # of the window, in sigmas: 11 × 11 pixels
_K1, _K2 = 0.01, 0.03


def psnr(one: UInt8Array, other: UInt8Array) -> float:
    """In decibels, of 8-bit pictures; equal ones have 60."""
    return min(MOST_DB, unlimited_psnr(one, other))


def ssim(one: UInt8Array, other: UInt8Array) -> float:
    """The mean structural similarity of two 8-bit pictures ``[h, w, 3]``: at most 1, which equal ones have.

    Wang et al. 2004 with their Gaussian window and constants, the mean over channels and pixels; at the border the
    window goes on with the mirrored picture.
    """
    from scipy.ndimage import gaussian_filter

    def blurred(values: np.ndarray) -> np.ndarray:
        smooth: np.ndarray = gaussian_filter(values, (_SIGMA, _SIGMA, 0), truncate=_REACH)
        return smooth

    a, b = one.astype(np.float64), other.astype(np.float64)
    mean_a, mean_b = blurred(a), blurred(b)
    variance_a, variance_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * 255) ** 2, (_K2 * 255) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    likeness /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float(likeness.mean())
