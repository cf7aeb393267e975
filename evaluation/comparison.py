"""Which of two models is better, brief by brief: won, drawn, lost."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.intervals import Estimate, mean_rate, share_estimate


@dataclass(frozen=True)
class Comparison:
    """What became of the pairs of two models; shares in 0…1, with intervals over briefs.

    Attributes:
        pairs: pictures compared with pictures of the same brief.
        points: wins and half of the draws; the first model is the better one where the interval lies above ½.
    """

    pairs: int
    won: Estimate
    drawn: Estimate
    lost: Estimate
    points: Estimate

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(first: Sequence[float], second: Sequence[float], briefs: Sequence[Hashable]) -> Comparison:
    """The first model against the second.

    Args:
        first, second: scores of pictures of the same brief and draw, pair by pair; higher is better, equal is a draw.
        briefs: of each pair; all pairs of a brief are drawn together, because they are not independent.

    Raises:
        ValueError: when there is no pair, or the lists are not of one length.
    """
    signs = [(one > other) - (one < other) for one, other in zip(first, second, strict=True)]
    if not signs or len(signs) != len(briefs):
        raise ValueError(f"{len(signs)} pairs of {len(briefs)} briefs cannot be compared")

    def share(values: Sequence[float]) -> Estimate:
        return share_estimate(mean_rate(values, briefs))

    return Comparison(
        len(signs),
        share([sign == 1 for sign in signs]),
        share([sign == 0 for sign in signs]),
        share([sign == -1 for sign in signs]),
        share([(sign + 1) / 2 for sign in signs]),
    )
