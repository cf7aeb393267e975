"""How far a matte is from the true one: the four errors of Rhemann et al. (CVPR 2009), mean errors, and colours.

All are taken over whole pictures, because there is no trimap: most pixels are certain background and count as such.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from layered.arrays import FloatArray, UInt8Array

_GRADIENT_SIGMA: Final = 1.4
_CONNECTIVITY_STEP: Final = 0.1
_CONNECTIVITY_TOLERANCE: Final = 0.15


@dataclass(frozen=True)
class MatteErrors:
    """Errors of one matte; 0 is perfect.

    Attributes:
        mad: mean absolute difference of alpha, 0…1.
        mse: mean squared difference of alpha, 0…1.
        sad: sum of absolute differences, in thousands of pixels.
        gradient: sum of squared differences of the gradients' lengths (σ = 1.4), in thousands.
        connectivity: sum of differences in connectedness to the largest opaque part (θ = 0.15), in thousands.
        color: mean absolute difference of straight colours, weighted by the true alpha, 0…1.
    """

    mad: float
    mse: float
    sad: float
    gradient: float
    connectivity: float
    color: float


def matte_errors(found: UInt8Array, true: UInt8Array) -> MatteErrors:
    """The errors of a straight RGBA layer ``[h, w, 4]`` against the true one of the same size."""
    alpha, true_alpha = (each[..., 3].astype(np.float32) / np.float32(255) for each in (found, true))
    off = np.abs(alpha - true_alpha)
    color_off = np.abs(found[..., :3].astype(np.float32) - true[..., :3]).mean(axis=-1) / 255
    return MatteErrors(
        mad=float(off.mean()),
        mse=float((off**2).mean()),
        sad=float(off.sum() / 1000),
        gradient=gradient_error(alpha, true_alpha) / 1000,
        connectivity=connectivity_error(alpha, true_alpha) / 1000,
        color=float((color_off * true_alpha).sum() / max(float(true_alpha.sum()), 1e-6)),
    )


def mean_errors(errors: list[MatteErrors]) -> MatteErrors:
    """Each error averaged over mattes."""
    rows = [asdict(each) for each in errors]
    return MatteErrors(**{name: float(np.mean([row[name] for row in rows])) for name in rows[0]})


def gradient_error(alpha: FloatArray, true: FloatArray) -> float:
    """Sum over pixels of the squared difference of gradient lengths, by derivatives of Gaussians of unit norm."""
    return float(((_slope(alpha) - _slope(true)) ** 2).sum())


def connectivity_error(alpha: FloatArray, true: FloatArray) -> float:
    """Sum over pixels of ``|φ(α) − φ(α*)|``.

    A pixel is connected up to the highest threshold at which it belongs to the largest region where both mattes reach
    that threshold; φ is one less what alpha lies above it, where that is at least 0.15.
    """
    level = np.full(alpha.shape, -1.0, np.float32)
    thresholds = np.arange(0, 1 + _CONNECTIVITY_STEP / 2, _CONNECTIVITY_STEP)
    for below, threshold in pairwise(thresholds):
        region = _largest_region((alpha >= threshold) & (true >= threshold))
        level[(level == -1) & ~region] = below
    level[level == -1] = 1
    phi = [1 - (each - level) * ((each - level) >= _CONNECTIVITY_TOLERANCE) for each in (alpha, true)]
    return float(np.abs(phi[0] - phi[1]).sum())


def _largest_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    regions, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = regions == sizes.argmax()
    return largest


def _slope(alpha: FloatArray) -> FloatArray:
    reach = int(np.ceil(_GRADIENT_SIGMA * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * _GRADIENT_SIGMA * 1e-2))))
    offsets = np.arange(-reach, reach + 1)
    bell = np.exp(-(offsets**2) / (2 * _GRADIENT_SIGMA**2))
    derivative = np.outer(bell, -offsets * bell)
    derivative /= np.linalg.norm(derivative)
    across, down = (ndimage.convolve(alpha, each, mode="nearest") for each in (derivative, derivative.T))
    length: FloatArray = np.hypot(across, down).astype(np.float32)
    return length
