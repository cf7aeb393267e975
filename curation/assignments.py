"""Who is given which sample next: queues shared out among reviewers, with audits and repeats mixed in."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from curation.columns import Columns
from curation.queues import (
    AUDIT_SHARE,
    REPEAT_QUEUE,
    REPEAT_SHARE,
    QueueRows,
    queue_named,
)
from curation.store import Assignment
from curation.verdicts import Verdicts
from ledger.decisions import AUDIT_QUEUE

LEASE_SECONDS: Final = 1800
"""How long a sample waits for the reviewer it was given to before others may have it."""

LEAST_BEFORE_REPEATS: Final = 20
"""Own decisions before the first of them is shown again."""


@dataclass(frozen=True)
class Purpose:
    """What is recorded with a decision: how the sample came before the reviewer."""

    queue: str
    inclusion_probability: float


class Desk:
    """Hands out samples. Not for several threads at once.

    Args:
        overlap: how many reviewers each sample of a shared queue is given to.
        clock: microseconds since 1970.
    """

    def __init__(
        self,
        columns: Columns,
        verdicts: Verdicts,
        queues: QueueRows,
        overlap: int = 1,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._columns = columns
        self._verdicts = verdicts
        self._queues = queues
        self._overlap = overlap
        self._clock = clock
        self._of_reviewer: dict[str, dict[tuple[str, str], Assignment]] = {}
        self._handed_out: dict[str, int] = {}

    def load(self, assignments: list[Assignment]) -> None:
        """Takes in what was handed out before."""
        for each in assignments:
            self._of_reviewer.setdefault(each.reviewer, {})[each.asked, each.sample_id] = each
            self._handed_out[each.reviewer] = self._handed_out.get(each.reviewer, 0) + 1

    def next(self, reviewer: str, queue: str, count: int) -> tuple[list[str], list[Assignment]]:
        """The next samples for a reviewer: first those handed out and not decided yet, then new ones.

        Returns:
            The samples' ids, and the assignments that are new: the caller stores them.
        """
        queue_named(queue)
        own = self._of_reviewer.setdefault(reviewer, {})
        pending = [each.sample_id for (asked, _), each in own.items() if asked == queue and self.is_open(each)]
        pending = [sample_id for sample_id in pending if sample_id in self._columns.rows][:count]
        fresh: list[Assignment] = []
        if len(pending) < count:
            taken = self._taken(queue, reviewer) | {each.sample_id for each in own.values() if self.is_open(each)}
            waiting = iter(self._queues.waiting(queue, reviewer).tolist())
            while len(pending) + len(fresh) < count:
                assignment = self._draw(reviewer, queue, waiting, taken)
                if assignment is None:
                    break
                taken.add(assignment.sample_id)
                fresh.append(assignment)
        self.load(fresh)
        return pending + [each.sample_id for each in fresh], fresh

    def purpose(self, reviewer: str, sample_id: str, asked: str) -> Purpose:
        """What to record with a decision that the reviewer makes on a sample in a queue (empty: just so)."""
        assignment = self.assignment(reviewer, sample_id, asked)
        if assignment is not None:
            return Purpose(assignment.queue, assignment.inclusion_probability)
        row = self._columns.rows.get(sample_id)
        if not asked or row is None or row not in self._queues.members(asked):
            return Purpose("", 1.0)
        return Purpose(asked, self._queues.probability(asked, row))

    def assignment(self, reviewer: str, sample_id: str, asked: str) -> Assignment | None:
        """What the reviewer was given the sample for and has not decided since."""
        found = self._of_reviewer.get(reviewer, {}).get((asked, sample_id))
        return found if found is not None and self.is_open(found) else None

    def is_open(self, assignment: Assignment) -> bool:
        """Whether its reviewer has not decided about the sample since it was handed out."""
        state = self._verdicts.states.get(assignment.sample_id)
        own = state.by_reviewer.get(assignment.reviewer) if state else None
        return own is None or int(own.at.timestamp() * 1e6) < assignment.at

    def _taken(self, queue: str, reviewer: str) -> set[str]:
        """What enough others are looking at right now. Audits look again at what others have, each other's aside."""
        since = self._clock() - LEASE_SECONDS * 1_000_000
        holders: dict[str, int] = {}
        for name, assignments in self._of_reviewer.items():
            if name == reviewer:
                continue
            for each in assignments.values():
                counts = each.queue == AUDIT_QUEUE if queue == AUDIT_QUEUE else each.queue != REPEAT_QUEUE
                if each.at >= since and counts and self.is_open(each):
                    holders[each.sample_id] = holders.get(each.sample_id, 0) + 1
        if queue_named(queue).every_reviewer:
            return set()
        decided = self._verdicts.states
        return {
            sample_id
            for sample_id, count in holders.items()
            if count + len(decided[sample_id].by_reviewer if sample_id in decided else ()) >= self._overlap
        }

    def _draw(self, reviewer: str, queue: str, waiting: object, taken: set[str]) -> Assignment | None:
        """The next sample of the queue or, now and then, one to audit or to repeat; None when the queue is empty."""
        number = self._handed_out.get(reviewer, 0) + len(taken)
        chance = random.Random(f"{reviewer}/{queue}/{number}").random()
        mixed = None
        if queue != AUDIT_QUEUE and chance < AUDIT_SHARE:
            mixed = self._audit(reviewer, queue, taken)
        elif AUDIT_SHARE <= chance < AUDIT_SHARE + REPEAT_SHARE:
            mixed = self._repeat(reviewer, queue, taken)
        if mixed is not None:
            return mixed
        for row in waiting:  # type: ignore[attr-defined]
            sample_id = self._columns.ids[row]
            if sample_id not in taken:
                probability = self._queues.probability(queue, row)
                return Assignment(reviewer, sample_id, queue, queue, probability, self._clock())
        return None

    def _audit(self, reviewer: str, queue: str, taken: set[str]) -> Assignment | None:
        busy = taken | self._taken(AUDIT_QUEUE, reviewer)
        for row in self._queues.waiting(AUDIT_QUEUE, reviewer).tolist():
            sample_id = self._columns.ids[row]
            if sample_id not in busy:
                probability = self._queues.probability(AUDIT_QUEUE, row)
                return Assignment(reviewer, sample_id, queue, AUDIT_QUEUE, probability, self._clock())
        return None

    def _repeat(self, reviewer: str, queue: str, taken: set[str]) -> Assignment | None:
        """A sample that the reviewer has decided. The decision weighs as much as the first one did."""
        repeated = {each.sample_id for each in self._of_reviewer[reviewer].values() if each.queue == REPEAT_QUEUE}
        own = sorted(
            (sample_id, state.by_reviewer[reviewer].inclusion_probability)
            for sample_id, state in self._verdicts.states.items()
            if reviewer in state.by_reviewer and state.by_reviewer[reviewer].verdict != "skip"
        )
        choices = [
            (name, weight) for name, weight in own if name not in taken | repeated and name in self._columns.rows
        ]
        if len(own) < LEAST_BEFORE_REPEATS or not choices:
            return None
        sample_id, probability = random.Random(f"{reviewer}/{len(own)}").choice(choices)
        return Assignment(reviewer, sample_id, queue, REPEAT_QUEUE, probability, self._clock())
