"""One review of one run: what the routes of the server call.

Everything that changes state runs on the event loop's thread or, where it takes long, in a worker thread under one
lock; so an answer never shows a decision that could still be lost.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from curation.assignments import Desk
from curation.errors import RequestError, bad_request
from curation.events import Bus
from curation.library import Library
from curation.query import QueryRequest, Result, Results, Rows, run_query
from curation.queues import QUEUES, REPEAT_QUEUE, QueueRows, queue_named
from curation.store import DecisionStore, Draft
from curation.verdicts import NOTHING_DECIDED, SampleState, Verdicts
from filters.taxonomy import DEFECTS
from layered.errors import FailedWorkError, UserError
from layered.scores import WHOLE_IMAGE
from ledger.decisions import AUDIT_QUEUE, Decision, append_decisions, read_decisions

PUSH_SECONDS: Final = 60.0
REFRESH_SECONDS: Final = 5.0
LONGEST_REFRESH_SECONDS: Final = 60.0
REFRESH_SHARE: Final = 0.05
"""Of the time at most that looking for news may take: a far store with many chunks is asked less often."""

_PUSHED_AT_ONCE: Final = 100_000
_APPLIED_AT_ONCE: Final = 2000

DuplicateGrouper = Callable[[NDArray[np.uint8]], NDArray[np.int64]]
"""Takes perceptual hashes ``[n, 32]``; returns for each the position of the earlier one it repeats, or its own."""


@dataclass(frozen=True)
class ReviewSettings:
    """How a review is held.

    Attributes:
        reviewer: who reviews where the browser does not say otherwise.
        overlap: reviewers that each sample of a queue is given to.
        queue: that the page opens with; empty for the grid of all samples.
    """

    name: str
    reviewer: str
    overlap: int = 1
    queue: str = ""


@dataclass
class Review:
    """The state of the page's server: the run, the decisions, and who works on what."""

    library: Library
    store: DecisionStore
    settings: ReviewSettings
    grouper: DuplicateGrouper | None = None
    verdicts: Verdicts = field(default_factory=Verdicts)
    results: Results = field(default_factory=Results)
    bus: Bus = field(default_factory=Bus)
    groups: NDArray[np.int32] | None = None
    push_problem: str = ""
    _seen: int = 0
    _told: str = ""
    _imported: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Reads the run and all decisions; raises UserError when one of them is damaged."""
        self.library.refresh()
        self.columns = self.library.columns
        self.queues = QueueRows(
            self.columns, self.verdicts, self.library.run.fingerprint, self.library.planned, self.settings.overlap
        )
        self.desk = Desk(self.columns, self.verdicts, self.queues, self.settings.overlap)
        self.desk.load(self.store.assignments())
        self._take_in_pushed()
        self._seen = self.store.last_seq()
        self.verdicts.grow(self.columns.rows)
        for sample_id, events in self.store.by_sample():
            self.verdicts.put(sample_id, SampleState.of(events), self.columns.rows.get(sample_id))
        self._lock = asyncio.Lock()

    # --- what is asked

    def query(self, request: QueryRequest, reviewer: str) -> tuple[str, Result]:
        """The rows that match, under a name for later questions about them."""
        waiting = None
        if request.queue:
            waiting = self.queues.waiting(queue_named(request.queue).name, reviewer)
        hides = bool(request.queue) and queue_named(request.queue or "").hides_scores
        if hides and (request.passed is not None or request.scores or any(key.of_scores for key in request.sort)):
            raise bad_request(f"the queue {request.queue} hides scores until a sample is decided")
        rows = run_query(request, self.columns, self.verdicts, self._grown_groups(), waiting)
        result = Result(rows, self.verdicts.revision, (request.queue or "") if hides else "")
        return self.results.keep(result), result

    def hidden(self, sample_id: str, reviewer: str, queue: str) -> tuple[bool, bool]:
        """Whether scores, and whether verdicts of a sample are kept from a reviewer who works through a queue."""
        if not queue:
            return False, False
        asked = queue_named(queue)
        state = self.verdicts.states.get(sample_id)
        assignment = self.desk.assignment(reviewer, sample_id, queue)
        if assignment is not None and assignment.queue in (REPEAT_QUEUE, AUDIT_QUEUE, "calibration"):
            return asked.hides_scores, True
        own = state is not None and reviewer in state.by_reviewer
        if asked.hides_scores:
            decided = self.decided_in(sample_id, queue, reviewer)
            return not decided, not decided
        return False, self.settings.overlap > 1 and not own

    def decided_in(self, sample_id: str, queue: str, reviewer: str) -> bool:
        """Whether a reviewer has decided about a sample in a queue."""
        state = self.verdicts.states.get(sample_id)
        return state is not None and (reviewer, queue) in state.queues

    def state_json(self, sample_id: str) -> dict[str, Any]:
        state = self.verdicts.states.get(sample_id)
        return state.as_json() if state else dict(NOTHING_DECIDED)

    def queue_counts(self, reviewer: str) -> list[dict[str, Any]]:
        members = {queue.name: self.queues.members(queue.name) for queue in QUEUES}
        return [
            {
                "name": queue.name,
                "title": queue.title,
                "description": queue.description,
                "total": len(members[queue.name]),
                "left": len(self.queues.waiting(queue.name, reviewer, members[queue.name])),
                "hides_scores": queue.hides_scores,
            }
            for queue in QUEUES
        ]

    def group_of(self, row: int) -> int:
        """The number of the sample's group of near-duplicates; -1 for none, or while they are looked for."""
        return int(self.groups[row]) if self.groups is not None and row < len(self.groups) else -1

    def group_members(self, row: int) -> list[str]:
        """The other samples of its group, in the plan's order."""
        group = self.group_of(row)
        if group < 0 or self.groups is None:
            return []
        rows = np.flatnonzero(self.groups == group)
        return [self.columns.ids[each] for each in rows[np.argsort(self.columns.place[rows])].tolist() if each != row]

    # --- what is decided

    async def decide(self, drafts: Sequence[Draft]) -> list[Decision]:
        """Stores decisions and makes them count; they are durable when this returns."""
        for draft in drafts:
            self._check(draft)
        layers = [draft for draft in drafts if draft.layer_index != WHOLE_IMAGE]
        if layers:
            await run_sync(self._check_layers, layers)
        async with self._lock:
            made = await run_sync(self.store.append, drafts)
            self._seen = max(self._seen, await run_sync(self.store.last_seq))
            await self._apply(sorted({event.sample_id for event in made}))
        return made

    async def decide_all(self, rows: Rows, verdict: str, reasons: tuple[str, ...], reviewer: str) -> tuple[str, int]:
        """One verdict on many samples: the name of the bulk decision, by which it can be undone, and its size."""
        bulk = f"bulk-{secrets.token_hex(8)}"
        drafts = [
            Draft(f"{bulk}-{row}", self.columns.ids[row], -1, verdict, reasons, None, "", reviewer, "", 1.0, bulk)
            for row in rows.tolist()
        ]
        if drafts:
            await self.decide(drafts)
        return bulk, len(drafts)

    async def undo_all(self, bulk: str, reviewer: str) -> tuple[int, int]:
        """Takes back a bulk decision where nothing of the reviewer's came after it: how many, and how many stay."""
        events = await run_sync(self.store.of_bulk, bulk)
        if not events or any(event.reviewer != reviewer for event in events):
            raise RequestError(404, f"{reviewer} has made no bulk decision {bulk[:64]!r}")
        last = {
            sample_id: state.by_reviewer[reviewer].event_id
            for sample_id, state in self.verdicts.states.items()
            if reviewer in state.by_reviewer
        }
        drafts = [
            Draft(f"undo-{event.event_id}", event.sample_id, -1, "undo", (), None, "", reviewer, "", 1.0)
            for event in events
            if last.get(event.sample_id) == event.event_id
        ]
        if drafts:
            await self.decide(drafts)
        return len(drafts), len(events) - len(drafts)

    async def next_samples(self, reviewer: str, queue: str, count: int) -> list[str]:
        """What the reviewer is to look at next."""
        async with self._lock:
            samples, fresh = self.desk.next(reviewer, queue, count)
            if fresh:
                await run_sync(self.store.assign, fresh)
        return samples

    async def take_in(self, decisions: Sequence[Decision]) -> int:
        """Adds decisions that were made elsewhere, each event once: how many are new."""
        async with self._lock:
            count = await run_sync(self.store.add, decisions, False)
            await self._catch_up()
        return count

    # --- what goes on meanwhile

    async def keep_up(self) -> None:
        """Follows the run and other processes, groups duplicates and pushes decisions until it is cancelled."""
        grouping = asyncio.create_task(self._group())
        refreshed = pushed = time.monotonic()
        took = 0.0
        try:
            while True:
                await asyncio.sleep(1)
                now = time.monotonic()
                try:
                    async with self._lock:
                        await self._catch_up()
                    if now - refreshed >= min(max(REFRESH_SECONDS, took / REFRESH_SHARE), LONGEST_REFRESH_SECONDS):
                        refreshed = now
                        news = await self._follow()
                        refreshed = time.monotonic()
                        took = refreshed - now
                        if news and grouping.done():
                            grouping = asyncio.create_task(self._group())
                    if now - pushed >= PUSH_SECONDS:
                        pushed = now
                        await run_sync(self.push)
                    if grouping.done():
                        grouping.result()  # what went wrong there is told like anything else
                except (RequestError, UserError, FailedWorkError, ImportError, OSError, ValueError) as error:
                    self._tell(str(error))
        finally:
            grouping.cancel()

    def push(self) -> int:
        """Writes decisions that the run does not have yet into its ``decisions`` folder: how many."""
        count = 0
        try:
            while waiting := self.store.to_push(_PUSHED_AT_ONCE):
                self._imported.add(append_decisions(self.library.storage, waiting))
                self.store.mark_pushed(waiting)
                count += len(waiting)
            self.push_problem = ""
        except (OSError, FailedWorkError) as error:
            reason = getattr(error, "strerror", None) or error
            self.push_problem = f"{self.library.run.place}/decisions cannot be written: {reason}"
        return count

    def _check(self, draft: Draft) -> None:
        self.library.row(draft.sample_id)
        for reason in draft.reasons:
            if reason not in DEFECTS:
                raise bad_request(f"there is no reason {reason[:64]!r}")

    def _check_layers(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            layers = self.library.sidecar(self.library.row(draft.sample_id)).layers
            if draft.layer_index not in {layer.index for layer in layers}:
                raise bad_request(f"sample {draft.sample_id} has no layer {draft.layer_index}")

    async def _apply(self, sample_ids: Sequence[str]) -> None:
        """Brings the states of samples up to date with the store, and tells all browsers."""

        def states(part: Sequence[str]) -> dict[str, SampleState | None]:
            return {sample_id: SampleState.of(events) for sample_id, events in self.store.by_sample(part)}

        for start in range(0, len(sample_ids), _APPLIED_AT_ONCE):
            found = await run_sync(states, sample_ids[start : start + _APPLIED_AT_ONCE])
            for sample_id, state in found.items():
                self.verdicts.put(sample_id, state, self.columns.rows.get(sample_id))
        shown = sample_ids[:200]
        self.bus.send(
            "decisions",
            {
                "samples": {sample_id: self.state_json(sample_id) for sample_id in shown},
                "count": len(sample_ids),
                "revision": self.verdicts.revision,
            },
        )

    async def _catch_up(self) -> None:
        """Takes in what other processes have written to the store."""
        last = await run_sync(self.store.last_seq)
        if last > self._seen:
            self._seen, changed = await run_sync(self.store.samples_since, self._seen)
            await self._apply(changed)

    async def _follow(self) -> bool:
        """Takes in what the run has got since: chunks, scores, decisions that others pushed; whether samples came."""
        news = await run_sync(self.library.read)
        async with self._lock:
            changed = self.library.merge(news)
            self.verdicts.grow(self.columns.rows)
            await run_sync(self._take_in_pushed)
            await self._catch_up()
        if changed:
            self.bus.send("run", {"samples": len(self.columns), "new": changed, "complete": self.library.complete})
        return changed > 0

    def _tell(self, problem: str) -> None:
        """Shows a problem on every page, once."""
        if problem != self._told:
            self._told = problem
            self.bus.send("problem", {"message": problem})

    def _take_in_pushed(self) -> None:
        """Reads files of the ``decisions`` folder that this process has not seen yet."""
        names = {name for name in self.library.storage.list("decisions") if name.endswith(".parquet")}
        if names - self._imported:
            self.store.add(read_decisions(self.library.storage), pushed=True)
            self._imported |= names

    async def _group(self) -> None:
        if self.grouper is None or not self.columns.hashed.any():
            return
        columns, grouper = self.columns, self.grouper
        rows = np.flatnonzero(columns.hashed)
        rows = rows[np.argsort(columns.place[rows])]
        original = rows[await run_sync(grouper, columns.hashes[rows])]
        groups = np.full(len(columns), -1, np.int32)
        repeated = np.unique(original[original != rows])
        member = np.isin(original, repeated)
        groups[rows[member]] = np.searchsorted(repeated, original[member])
        self.groups = groups
        self.bus.send("duplicates", {"groups": len(repeated), "samples": int(member.sum())})

    def _grown_groups(self) -> NDArray[np.int32] | None:
        """`groups` for all rows: samples that came since then are in none."""
        if self.groups is None or len(self.groups) == len(self.columns):
            return self.groups
        return np.concatenate([self.groups, np.full(len(self.columns) - len(self.groups), -1, np.int32)])
