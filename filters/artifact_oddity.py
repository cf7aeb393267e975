"""How unlike all sound pictures is this one, whatever may be wrong with it? For faults that nobody has named.

One class alone is known: statistics (`filters/artifact_statistics.py`) of sound pictures from every source. What is
odd is far from the nearest of them, and the score is the part of sound pictures that are as far from the others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.artifact_statistics import STATISTICS, statistics_of
from layered.arrays import FloatArray, UInt8Array
from layered.errors import UserError

ODDITY_NAME: Final = "oddity.safetensors"
_FARTHEST: Final = 5.0  # deviations at which a statistic is as odd as it can be
_BYTE: Final = 255 / (2 * _FARTHEST)  # steps of a stored reference to a deviation

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Oddity:
    """What sound pictures are like; k statistics, r references, q places on the ladder.

    Attributes:
        mean, deviation: of each statistic on sound pictures, ``[k]``.
        references: middles of clusters of sound pictures' statistics, standardised, ``[r, k]``.
        distances: how far other sound pictures are from the nearest reference, at equal steps of their ranks from the
            least to the greatest, ``[q]``.
    """

    mean: FloatArray
    deviation: FloatArray
    references: FloatArray
    distances: FloatArray

    def soundness(self, picture: UInt8Array) -> float:
        """The part of sound pictures that would be at least as odd as this premultiplied one ``[128, 128, 4]``."""
        return float(self.soundness_of(statistics_of(picture)[None])[0])

    def soundness_of(self, statistics: FloatArray) -> Floats:
        """The same for rows of statistics, ``[n, k]`` → ``[n]``."""
        return tail(self.distance(statistics), self.distances)

    def distance(self, statistics: FloatArray) -> Floats:
        """How far each row of statistics is from the nearest reference, ``[n]``, in deviations."""
        values = standardised(statistics, self.mean, self.deviation)
        squares = (values**2).sum(axis=1)[:, None] - 2 * values @ self.references.T + (self.references**2).sum(axis=1)
        nearest: Floats = np.sqrt(np.maximum(squares.min(axis=1), 0)).astype(np.float64)
        return nearest


def standardised(statistics: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """``[n, k]`` in deviations from the mean of sound pictures."""
    values: FloatArray = np.clip((statistics - mean) / deviation, -_FARTHEST, _FARTHEST)
    return values


def tail(values: Floats, ladder: FloatArray) -> Floats:
    """The part of those on a ladder, values at equal steps of rank, that are above each value; more than 0."""
    steps = len(ladder)
    ranks = np.interp(values, ladder, np.arange(steps), left=0, right=steps - 0.5)
    part: Floats = 1 - ranks / steps
    return part


def load_oddity(folder: Path) -> Oddity | None:
    """The oddity of a classifier's folder; None where it has none.

    Raises:
        UserError: when the file cannot be read, or is of other statistics.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / ODDITY_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as stored:
            names = (stored.metadata() or {}).get("statistics", "")
            tensors = {field.name: _decoded(stored.get_tensor(field.name)) for field in fields(Oddity)}
    except (SafetensorError, OSError) as error:
        first = " ".join(str(error).split())[:200]
        raise UserError(f"filters.artifacts.model: {path} cannot be read: {first}") from error
    if names != " ".join(STATISTICS):
        raise UserError(
            f"filters.artifacts.model: {path} is of other statistics; make it again with models/recipes/train_oddity.py"
        )
    return Oddity(**tensors)


def save_oddity(oddity: Oddity, folder: Path) -> None:
    """Writes it beside a classifier, the references in steps of a twenty-fifth of a deviation, a byte each."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    stored = {field.name: getattr(oddity, field.name) for field in fields(Oddity)}
    near = np.clip(oddity.references, -_FARTHEST, _FARTHEST)
    stored["references"] = np.rint((near + _FARTHEST) * _BYTE).astype(np.uint8)
    save_file(stored, folder / ODDITY_NAME, metadata={"statistics": " ".join(STATISTICS)})


def _decoded(stored: NDArray[Any]) -> FloatArray:
    """References from bytes; what has other types, as all had once, is as it is stored."""
    decoded: FloatArray = stored.astype(np.float32)
    return decoded / np.float32(_BYTE) - np.float32(_FARTHEST) if stored.dtype == np.uint8 else decoded
