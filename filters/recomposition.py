"""Do the layers add up? The composite against a model's own prediction of the whole (the merged image), where there is
one: recomposition quality, as ART measures it (arXiv 2502.18364)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from filters.filter import Filter, FilterInput, FilterResult
from layered.arrays import UInt8Array
from layered.scores import WHOLE_IMAGE, Score

RECOMPOSITION = "recomposition"

_MOST_PSNR: Final = 99.0  # of equal pictures, whose PSNR has no end


class Recomposition(Filter):
    """recomposition: PSNR in dB of the composited layers and the merged image; no score without a merged image."""

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        return [FilterResult(tuple(_scores(sample))) for sample in samples]


def psnr(one: UInt8Array, other: UInt8Array) -> float:
    """The peak signal-to-noise ratio of two 8-bit pictures of one shape in dB, at most 99."""
    error = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2, dtype=np.float64))
    return _MOST_PSNR if error == 0 else min(_MOST_PSNR, 10 * math.log10(255**2 / error))


def _scores(sample: FilterInput) -> list[Score]:
    merged = sample.image.merged
    if merged is None:
        return []
    return [Score(sample.sample_id, WHOLE_IMAGE, RECOMPOSITION, psnr(sample.image.whole(), merged))]
