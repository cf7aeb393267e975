"""What holds for each sample, kept beside the columns of the run and brought up to date event by event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.taxonomy import DEFECTS
from layered.scores import WHOLE_IMAGE
from ledger.decisions import Decision, resolve, standing_decisions

VERDICT_CODES: Final = ("undecided", "skip", "reject", "keep", "pro")
"""Verdicts by their code in `Verdicts.verdict`, in the order they sort."""

REASON_BITS: Final[Mapping[str, int]] = {name: 1 << bit for bit, name in enumerate(DEFECTS)}


@dataclass(frozen=True, slots=True)
class SampleState:
    """What holds for one sample.

    Attributes:
        verdict: on the whole sample; ``skip`` where people have only skipped it, empty where nobody said anything.
        decisive: the decision that `verdict` comes from.
        layers: the decision that holds for each layer that has one.
        by_reviewer: each reviewer's own last verdict on the whole sample, skips included.
        queues: who has decided about it in which queue.
    """

    verdict: str
    decisive: Decision | None
    layers: Mapping[int, Decision]
    by_reviewer: Mapping[str, Decision]
    queues: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, events: Iterable[Decision]) -> SampleState | None:
        """What follows from all events of one sample, in order; None when nothing of them holds."""
        events = list(events)
        standing = standing_decisions(events)
        if not any(standing.values()):
            return None
        (resolved,) = resolve(events).values() or (None,)
        whole = standing.get((events[0].sample_id, WHOLE_IMAGE), [])
        decisive = resolved.whole if resolved else None
        if decisive is None and whole:
            decisive = whole[-1]
        return cls(
            decisive.verdict if decisive else "",
            decisive,
            dict(resolved.layers) if resolved else {},
            {event.reviewer: event for event in whole},
            frozenset((event.reviewer, event.queue) for event in whole if event.queue),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Of the whole sample and its rejected layers, each once, as the taxonomy orders them."""
        named = set(self.decisive.reasons if self.decisive else ())
        for decision in self.layers.values():
            named |= set(decision.reasons)
        return tuple(name for name in DEFECTS if name in named)

    @property
    def opinions(self) -> set[bool]:
        """What reviewers think, whether it is good: both where they contradict each other."""
        verdicts = {event.verdict for event in self.by_reviewer.values()} - {"skip"}
        return {verdict != "reject" for verdict in verdicts}

    def as_json(self) -> dict[str, Any]:
        """What the page shows of it."""
        decisive = self.decisive
        return {
            "verdict": self.verdict or None,
            "reasons": list(decisive.reasons) if decisive else [],
            "rating": decisive.rating if decisive else None,
            "caption": decisive.caption if decisive else "",
            "reviewer": decisive.reviewer if decisive else "",
            "at": decisive.at.isoformat() if decisive else None,
            "layers": {
                str(index): {
                    "verdict": decision.verdict,
                    "reasons": list(decision.reasons),
                    "caption": decision.caption,
                    "reviewer": decision.reviewer,
                }
                for index, decision in sorted(self.layers.items())
            },
            "reviewers": {name: event.verdict for name, event in sorted(self.by_reviewer.items())},
        }


NOTHING_DECIDED: Final[Mapping[str, Any]] = SampleState("", None, {}, {}, frozenset()).as_json()


@dataclass
class Verdicts:
    """States by sample id, and what filters and sorting need of them by row.

    Attributes:
        verdict: position in `VERDICT_CODES`.
        reasons: bits of `REASON_BITS`.
        rating: NaN where there is none.
        at: seconds since 1970 of the decisive event, 0 without.
        revision: grows with every change.
    """

    states: dict[str, SampleState] = field(default_factory=dict)
    verdict: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))
    reasons: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    rating: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    at: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    revision: int = 0

    def grow(self, rows: Mapping[str, int]) -> None:
        """Makes room for samples that the run has got, and fills in what was known of them already."""
        before, more = len(self.verdict), len(rows) - len(self.verdict)
        if not more:
            return
        self.verdict = np.concatenate([self.verdict, np.zeros(more, np.int8)])
        self.reasons = np.concatenate([self.reasons, np.zeros(more, np.uint64)])
        self.rating = np.concatenate([self.rating, np.full(more, np.nan, np.float32)])
        self.at = np.concatenate([self.at, np.zeros(more)])
        for sample_id, state in self.states.items():
            row = rows.get(sample_id, -1)
            if row >= before:
                self._fill(row, state)
        self.revision += 1

    def put(self, sample_id: str, state: SampleState | None, row: int | None) -> None:
        """Replaces what holds for a sample; `row` is None where the run does not have it (yet)."""
        if state is None:
            self.states.pop(sample_id, None)
        else:
            self.states[sample_id] = state
        if row is not None:
            self._fill(row, state)
        self.revision += 1

    def _fill(self, row: int, state: SampleState | None) -> None:
        decisive = state.decisive if state else None
        self.verdict[row] = VERDICT_CODES.index(state.verdict or "undecided") if state else 0
        bits = 0
        for reason in state.reasons if state else ():
            bits |= REASON_BITS[reason]
        self.reasons[row] = bits
        self.rating[row] = np.nan if decisive is None or decisive.rating is None else decisive.rating
        self.at[row] = decisive.at.timestamp() if decisive else 0
