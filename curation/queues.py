"""Queues: which samples wait to be looked at, in which order, and with what probability each came to be in a queue.

A queue by chance (`audit`, `calibration`) holds a fixed part of all samples, drawn by a hash of the sample's id: who
reviews how fast has no influence on what is in it. Its probability is recorded with every decision. The other queues
hold samples by rule, which is recorded as probability 1: rates of the whole run are estimated from `audit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation.columns import Columns
from curation.errors import bad_request
from curation.query import Rows
from curation.verdicts import VERDICT_CODES, SampleState, Verdicts
from ledger.decisions import AUDIT_QUEUE

AUDIT_SHARE: Final = 0.05
"""Of all samples are audited, and of what a reviewer is given is audit."""

REPEAT_SHARE: Final = 0.02
"""Of what a reviewer is given was decided by the same reviewer before."""

REPEAT_QUEUE: Final = "repeat"
LEAST_AUDITED: Final = 200
CALIBRATED_OF_EACH: Final = 300
"""Samples that passed, and as many that did not, in the queue `calibration`."""

_UNDECIDED: Final = (0, VERDICT_CODES.index("skip"))


@dataclass(frozen=True)
class Queue:
    """A way through a run.

    Attributes:
        title, description: for people.
        hides_scores: nobody sees scores before deciding.
        every_reviewer: each reviewer decides about each of its samples anew, whatever others said.
        by_verdict: a sample leaves it by the verdicts that it has, whatever queue they were given in.
    """

    name: str
    title: str
    description: str
    hides_scores: bool = False
    every_reviewer: bool = False
    by_verdict: bool = False


QUEUES: Final[Sequence[Queue]] = (
    Queue("undecided", "Undecided", "Samples without a verdict, in the plan's order.", by_verdict=True),
    Queue(
        "threshold",
        "Close to a threshold",
        "Undecided samples, those first that a score nearly flags or nearly passes.",
        by_verdict=True,
    ),
    Queue(
        "disagreement", "Filters and people disagree", "Kept but flagged, or rejected though every filter passed them."
    ),
    Queue(
        "conflict", "Reviewers disagree", "Samples that one reviewer keeps and another rejects: the next verdict holds."
    ),
    Queue(
        "caption",
        "Captions to edit",
        "Samples without one of their layers, whose caption may still name it: nobody has written another one.",
    ),
    Queue(AUDIT_QUEUE, "Random audit", "A random part of all samples, decided or not."),
    Queue(
        "calibration",
        "Calibration",
        "A random draw of flagged and of passed samples; scores are hidden until the verdict.",
        hides_scores=True,
        every_reviewer=True,
    ),
)
BY_NAME: Final = {queue.name: queue for queue in QUEUES}


def queue_named(name: str) -> Queue:
    """Raises RequestError when there is none."""
    if name not in BY_NAME:
        raise bad_request(f"there is no queue {name[:64]!r}: {', '.join(BY_NAME)}")
    return BY_NAME[name]


class QueueRows:
    """Computes the rows of queues.

    Args:
        salt: another one draws other samples.
        planned: samples of the run's plan, made or not.
        overlap: reviewers that each sample is given to.
    """

    def __init__(self, columns: Columns, verdicts: Verdicts, salt: str, planned: int, overlap: int = 1) -> None:
        self._columns = columns
        self._verdicts = verdicts
        self._salt = salt
        self._planned = planned
        self._overlap = overlap
        self._draws: dict[str, NDArray[np.float64]] = {}
        self._members: dict[str, Callable[[], Rows]] = {
            "undecided": self._undecided,
            "threshold": self._threshold,
            "disagreement": self._disagreement,
            "conflict": self._conflict,
            "caption": self._caption,
            AUDIT_QUEUE: self._audit,
            "calibration": self._calibration,
        }

    def members(self, name: str) -> Rows:
        """All rows of a queue in its order, also those that somebody has decided in it."""
        return self._members[name]()

    def waiting(self, name: str, reviewer: str, rows: Rows | None = None) -> Rows:
        """What of a queue is left for a reviewer, in its order; `rows` are its members, where they are known."""
        rows = self.members(name) if rows is None else rows
        done = [
            self._columns.rows.get(sample_id, -1)
            for sample_id, state in self._verdicts.states.items()
            if self._is_done(BY_NAME[name], state, reviewer)
        ]
        return rows[~np.isin(rows, done)] if done else rows

    def _is_done(self, queue: Queue, state: SampleState, reviewer: str) -> bool:
        if queue.by_verdict:
            return reviewer in state.by_reviewer
        who = {name for name, of_queue in state.queues if of_queue == queue.name}
        return reviewer in who or (not queue.every_reviewer and len(who) >= self._overlap)

    def probability(self, name: str, row: int) -> float:
        """The chance with which the row came to be in the queue."""
        if name == AUDIT_QUEUE:
            return self._audit_share()
        if name == "calibration":
            return self._calibration_shares()[int(self._columns.passed[row])]
        return 1.0

    def _undecided(self) -> Rows:
        """Samples that fewer reviewers than wanted have decided about."""
        open_ = np.isin(self._verdicts.verdict, _UNDECIDED)
        if self._overlap > 1:
            for sample_id, state in self._verdicts.states.items():
                decided = sum(event.verdict != "skip" for event in state.by_reviewer.values())
                if decided < self._overlap and sample_id in self._columns.rows:
                    open_[self._columns.rows[sample_id]] = True
        rows = np.flatnonzero(open_)
        return rows[np.argsort(self._columns.place[rows], kind="stable")].astype(np.int32)

    def _threshold(self) -> Rows:
        rows = self._undecided()
        distance = self._columns.threshold_distance()[rows]
        near = np.argsort(distance, kind="stable")
        return rows[near[np.isfinite(distance[near])]]

    def _disagreement(self) -> Rows:
        verdict = self._verdicts.verdict
        kept = verdict >= VERDICT_CODES.index("keep")
        rejected = verdict == VERDICT_CODES.index("reject")
        rows = np.flatnonzero((kept & ~self._columns.passed) | (rejected & self._columns.passed))
        # The surer the filters were, the earlier.
        return rows[np.argsort(-self._columns.threshold_distance()[rows], kind="stable")].astype(np.int32)

    def _conflict(self) -> Rows:
        """Latest opinions that contradict each other, unless somebody has decided about the conflict since."""

        def contradicts(state: SampleState) -> bool:
            settled = state.decisive is not None and state.decisive.queue == "conflict"
            return len(state.opinions) == 2 and not settled

        return self._where(contradicts)

    def _caption(self) -> Rows:
        """Samples that stay, without a layer, under the caption that they were drawn from."""

        def is_old(state: SampleState) -> bool:
            without = any(decision.verdict == "reject" for decision in state.layers.values())
            edited = state.decisive is not None and bool(state.decisive.caption)
            return without and not edited and state.verdict != "reject"

        return self._where(is_old)

    def _where(self, holds: Callable[[SampleState], bool]) -> Rows:
        """Rows of the samples that somebody decided about and that something holds for, in the plan's order."""
        rows = [
            self._columns.rows[sample_id]
            for sample_id, state in self._verdicts.states.items()
            if sample_id in self._columns.rows and holds(state)
        ]
        return np.array(sorted(rows, key=lambda row: int(self._columns.place[row])), np.int32)

    def _audit(self) -> Rows:
        draw = self._draw(AUDIT_QUEUE)
        rows = np.flatnonzero(draw < self._audit_share())
        return rows[np.argsort(draw[rows], kind="stable")].astype(np.int32)

    def _calibration(self) -> Rows:
        draw = self._draw("calibration")
        flagged, passed = self._calibration_shares()
        rows = np.flatnonzero(draw < np.where(self._columns.passed, passed, flagged))
        # Ordered by another draw: the order must not tell who passed.
        return rows[np.argsort(self._draw("calibration order")[rows], kind="stable")].astype(np.int32)

    def _audit_share(self) -> float:
        return min(1.0, max(AUDIT_SHARE, LEAST_AUDITED / max(self._planned, 1)))

    def _calibration_shares(self) -> tuple[float, float]:
        """Of the flagged and of the passed samples."""
        passed = int(self._columns.passed.sum())
        counts = (len(self._columns) - passed, passed)
        first, second = (min(1.0, CALIBRATED_OF_EACH / max(count, 1)) for count in counts)
        return first, second

    def _draw(self, purpose: str) -> NDArray[np.float64]:
        """A number in 0…1 for each row, which depends on the run, the purpose and the sample's id alone."""
        known = self._draws.get(purpose, np.empty(0))
        ids = self._columns.ids
        if len(known) < len(ids):
            salt = hashlib.blake2b(f"{self._salt}/{purpose}".encode(), digest_size=16).digest()
            more = [
                int.from_bytes(hashlib.blake2b(sample_id.encode(), digest_size=7, key=salt).digest(), "big") / 2**56
                for sample_id in ids[len(known) :]
            ]
            known = self._draws[purpose] = np.concatenate([known, more])
        return known
