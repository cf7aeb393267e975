"""Numbers that describe how a layer is painted, whatever it shows: for telling what is unlike all sound ones.

All are taken from the artifact classifier's picture (`filters/artifact_view.py`) and so are the same at any size.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from layered.arrays import FloatArray, UInt8Array

STATISTICS: Final = (
    # Its shape.
    "area", "fill", "see_through", "mean_alpha", "parts", "largest_part", "small_parts", "holes", "outline",
    "alpha_step", "alpha_step_spread", "mirror_alpha",
    # Detail inside: what smoothing takes away, by scale; single pixels; how much is flat.
    "residual", "residual_median", "residual_peak", "residual_4", "slope", "isolated", "isolated_peak", "tint_residual",
    "flat", "steepest",
    # Edges: along the axes or not, how fast they turn, changes across whole rows and columns.
    "axis_edges", "edge_turns", "row_step", "column_step", "row_step_sixth", "column_step_sixth", "row_alone",
    "column_alone", "common_step", "jump",
    # Repetition.
    "period", "period_diagonal", "peak_frequency", "mirror", "halves",
)  # fmt: skip
"""The names of the statistics, in their order."""

_SOLID: Final = 0.5
_OPAQUE: Final = 0.95
_SEEN: Final = 0.1
_LUMINANCE: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
_FLAT: Final = 0.006
_STEP: Final = 0.12
_ISOLATED: Final = 0.06
_SMALL: Final = 60  # pixels of 128 × 128
_FEW: Final = 20  # pixels of a row, of which nothing can be said
_LAGS: Final = slice(3, 25)
_LEAST: Final = 1e-4

Mask = NDArray[np.bool_]


def statistics_of(picture: UInt8Array) -> NDArray[np.float32]:
    """The statistics of a premultiplied picture ``[128, 128, 4]`` in 0…255, of which something is visible.

    Returns:
        ``[len(STATISTICS)]``; counts and magnitudes as logarithms, so that each is spread over a few units.
    """
    premultiplied = picture.astype(np.float32) / np.float32(255)
    alpha = premultiplied[..., 3]
    seen = alpha > min(_SEEN, float(alpha.max()) / 2)
    gray = premultiplied[..., :3] @ _LUMINANCE + (1 - alpha) * np.float32(0.5)
    solid = alpha > min(_SOLID, float(alpha.max()) / 2)
    inside = ndimage.binary_erosion(solid, iterations=3)
    if inside.sum() < 30:
        inside = solid
    found = [*_shape(alpha, seen, solid), *_paint(gray, premultiplied, inside), *_edges(gray), *_lines(premultiplied),
             *_rhythm(gray, alpha, inside)]  # fmt: skip
    return np.array(found, np.float32)


def _shape(alpha: FloatArray, seen: Mask, solid: Mask) -> list[float]:
    area = float(seen.sum())
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    _, sizes = _regions(seen)
    outside, gaps = _regions(~seen)
    border = {*outside[0], *outside[-1], *outside[:, 0], *outside[:, -1]} - {0}
    rim = solid & ~ndimage.binary_erosion(solid)
    steps = _gradient(alpha)[rim]
    return [
        np.log(area / seen.size),
        area / float((np.ptp(rows) + 1) * (np.ptp(columns) + 1)),
        float(((alpha > _SEEN) & (alpha < 1 - _SEEN)).sum()) / area,
        float(alpha[seen].mean()),
        np.log(len(sizes)),
        float(sizes.max()) / area,
        np.log1p(int((sizes < _SMALL).sum())),
        np.log1p(len(gaps) - len(border)),
        np.log(float(rim.sum()) / np.sqrt(float(solid.sum()))),
        float(steps.mean()),
        float(steps.std()),
        float(np.abs(alpha - alpha[:, ::-1]).sum()) / area,
    ]


def _paint(gray: FloatArray, premultiplied: FloatArray, inside: Mask) -> list[float]:
    smooth = ndimage.uniform_filter(gray, 3)
    fine = np.abs(gray - smooth)[inside]
    coarse = float(np.abs(ndimage.uniform_filter(gray, 5) - ndimage.uniform_filter(gray, 9))[inside].mean())
    mean = float(fine.mean())
    median, peak = (float(value) for value in np.quantile(fine, (0.5, 0.995)))
    around = np.stack([np.roll(gray, 1, 0), np.roll(gray, -1, 0), np.roll(gray, 1, 1), np.roll(gray, -1, 1)])
    isolated = np.abs(gray - np.clip(gray, around.min(axis=0), around.max(axis=0)))[inside]
    tint = premultiplied[..., 0] - premultiplied[..., 2]
    return [
        np.log(mean + _LEAST),
        np.log(median + _LEAST),
        np.log(peak + _LEAST),
        np.log(coarse + _LEAST),
        np.log((mean + _LEAST) / (coarse + _LEAST)),
        np.log(float((isolated > _ISOLATED).mean()) + 1e-3),
        np.log(float(np.quantile(isolated, 0.99)) + _LEAST),
        np.log(float(np.abs(tint - ndimage.uniform_filter(tint, 3))[inside].mean()) + _LEAST),
        float((fine < _FLAT).mean()),
        np.log(float(np.quantile(_gradient(gray), 0.99)) + _LEAST),
    ]


def _edges(gray: FloatArray) -> list[float]:
    y, x = np.gradient(ndimage.uniform_filter(gray, 3))
    strength = np.hypot(x, y) + np.float32(_LEAST)
    # Directions are doubled, so that both sides of a line have the same; doubled again, the two axes have.
    cosine, sine = (x**2 - y**2) / strength, 2 * x * y / strength
    along = float(((2 * cosine**2 - strength**2) / strength).sum() / strength.sum())
    common = np.hypot(ndimage.uniform_filter(cosine, 5), ndimage.uniform_filter(sine, 5))
    return [along, 1 - float(common.sum() / strength.sum())]


def _lines(premultiplied: FloatArray) -> list[float]:
    """By how much rows and columns change across all of their inner length: the most, the sixth, and the most that is
    not beside another change; how much they get lighter or darker together; how far both ends jump together."""
    tops, sixths, alones, commons, jumps = [], [], [], [], []
    for planes in (premultiplied, premultiplied.swapaxes(0, 1)):
        opaque = planes[..., 3] > _OPAQUE
        within = opaque[2:] & opaque[:-2]
        difference = (planes[2:] - planes[:-2])[..., :3] * within[..., None]
        change = np.abs(difference).max(axis=-1)
        length = within[2:-2].sum(axis=1)
        known = np.where(length > _FEW, 1 / np.maximum(length, _FEW), 0)
        here = change[2:-2]
        alone = here - np.maximum(change[:-4], change[4:])
        part = np.sort((here > _STEP).sum(axis=1) * known)
        tops.append(float(part[-1]))
        sixths.append(float(part[-6]))
        alones.append(float(((alone > _STEP / 2).sum(axis=1) * known).max()))
        lighter = np.abs(difference.mean(axis=-1).sum(axis=1))
        commons.append(float(((lighter[2:-2] - np.maximum(lighter[:-4], lighter[4:])) * known).max()))
        jumps.append(_jump(planes[..., 3] > _SOLID))
    return [*tops, *sixths, *alones, max(commons), float(np.log1p(max(jumps)))]


def _jump(solid: Mask) -> float:
    """The most pixels by which first and last solid pixel of a row both lie farther on than in the row before."""
    filled: Mask = np.any(solid, axis=1)
    both: Mask = np.logical_and(filled[1:], filled[:-1])
    first = np.diff(solid.argmax(axis=1))[both]
    last = np.diff(-solid[:, ::-1].argmax(axis=1))[both]
    together = np.minimum(np.abs(first), np.abs(last)) * (first * last > 0)
    return float(together.max(initial=0))


def _rhythm(gray: FloatArray, alpha: FloatArray, inside: Mask) -> list[float]:
    """How periodic the detail is along the axes and the diagonal, and how much like its mirror image the picture."""
    detail = (gray - ndimage.uniform_filter(gray, 9)) * inside
    power = np.abs(np.fft.rfft2(detail)) ** 2
    correlation = np.fft.irfft2(power)
    correlation /= max(float(correlation[0, 0]), _LEAST)
    rows, columns = correlation[_LAGS, 0], correlation[0, _LAGS]
    diagonal = np.diagonal(correlation)[_LAGS]
    rising = np.minimum(rows - np.minimum.accumulate(rows), columns - np.minimum.accumulate(columns))
    seen = float(np.maximum(alpha, alpha[:, ::-1]).sum())
    half = gray.shape[0] // 2
    means = [
        float((gray * alpha)[part].sum() / (alpha[part].sum() + 1))
        for part in (np.s_[:half], np.s_[half:], np.s_[:, :half], np.s_[:, half:])
    ]
    return [
        float(rising.max()),
        float((diagonal - np.maximum(rows, columns)).max()),
        np.log(float(power.max()) / (float(power.mean()) + _LEAST) + 1),
        float(np.abs(gray - gray[:, ::-1]).sum()) / seen,
        max(abs(means[0] - means[1]), abs(means[2] - means[3])),
    ]


def _gradient(values: FloatArray) -> FloatArray:
    y, x = np.gradient(values)
    slope: FloatArray = np.hypot(x, y)
    return slope


def _regions(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Regions by number, 0 outside of them, and their sizes."""
    labels, _ = ndimage.label(mask)
    return labels, np.bincount(labels.ravel())[1:]
