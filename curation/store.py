"""Where decisions are safe: SQLite on a local disk, append-only.

An event that `append` has returned survives a killed process and, as far as the disk keeps its word, a power cut: every
transaction is flushed to the write-ahead log before it counts (``synchronous=FULL``). Several processes on one machine
may use one file; a network file system is refused by `store_path`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

from curation.errors import RequestError
from layered.errors import UserError
from ledger.decisions import Decision

Origin = Literal["page", "import", "run"]
"""Where an event was made: here, in a file that somebody imported, or in the run's ``decisions`` folder."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BATCH: Final = 500
"""Below the smallest limit of variables that SQLite was ever built with."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    sample_id TEXT NOT NULL,
    layer_index INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reasons TEXT NOT NULL,
    rating REAL,
    caption TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    at INTEGER NOT NULL,
    queue TEXT NOT NULL,
    inclusion_probability REAL NOT NULL,
    bulk TEXT NOT NULL DEFAULT '',
    pushed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS events_of_samples ON events (sample_id, at, event_id);
CREATE INDEX IF NOT EXISTS events_of_bulks ON events (bulk) WHERE bulk <> '';
CREATE INDEX IF NOT EXISTS events_to_push ON events (seq) WHERE pushed = 0;
CREATE TRIGGER IF NOT EXISTS events_are_kept BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_stay_the_same BEFORE UPDATE ON events
    WHEN NOT (OLD.event_id = NEW.event_id AND OLD.verdict = NEW.verdict AND OLD.reviewer = NEW.reviewer
              AND OLD.sample_id = NEW.sample_id AND OLD.at = NEW.at)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TABLE IF NOT EXISTS assignments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    reviewer TEXT NOT NULL,
    sample_id TEXT NOT NULL,
    asked TEXT NOT NULL,
    queue TEXT NOT NULL,
    inclusion_probability REAL NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS preferences (
    reviewer TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (reviewer, name)
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    answer_id TEXT NOT NULL,
    comparison TEXT NOT NULL,
    pair TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    left_is TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (answer_id, question)
) STRICT;
"""
_COLUMNS: Final = (
    "event_id, sample_id, layer_index, verdict, reasons, rating, caption, reviewer, at, queue, inclusion_probability"
)


@dataclass(frozen=True)
class Draft:
    """A decision before it has a time; fields as in `ledger.decisions.Decision`."""

    event_id: str
    sample_id: str
    layer_index: int
    verdict: str
    reasons: tuple[str, ...]
    rating: float | None
    caption: str
    reviewer: str
    queue: str
    inclusion_probability: float
    bulk: str = ""


@dataclass(frozen=True)
class Assignment:
    """A sample that was given to a reviewer.

    Attributes:
        asked: the queue that the reviewer works through.
        queue: what is recorded with the decision: `asked`, or what was mixed in.
        at: microseconds since 1970.
    """

    reviewer: str
    sample_id: str
    asked: str
    queue: str
    inclusion_probability: float
    at: int


@dataclass(frozen=True)
class Answer:
    """What a reviewer said of a pair: `answer` is ``a``, ``b`` or ``draw``; `left_is` is ``a`` or ``b``."""

    answer_id: str
    comparison: str
    pair: str
    question: str
    answer: str
    left_is: str
    reviewer: str


class DecisionStore:
    """The store of one run. Any thread may call it; writers take turns."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises UserError when it is damaged or cannot be written."""
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _connect(path)
            with self._writer:
                self._writer.executescript(_SCHEMA)
            self._local = threading.local()
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{path} cannot be used for decisions ({error}): move it away, or make room") from error

    def close(self) -> None:
        """Folds the log into the file and closes it; only the calling thread's reader is closed with it."""
        with self._lock:
            self._writer.close()

    def append(self, drafts: Sequence[Draft]) -> list[Decision]:
        """Stores decisions, all or none, and returns them with their times, durable.

        A draft whose `event_id` is there already, with the same content, is not stored again: its first storing is
        returned. Times grow strictly, so that the order of events is that of `ledger.decisions.read_decisions`.

        Raises:
            RequestError: 409 when an `event_id` is there with another content; 507 when the disk is full.
        """
        made: list[Decision] = []
        with self._writing() as database:
            (latest,) = database.execute("SELECT coalesce(max(at), 0) FROM events").fetchone()
            for draft in drafts:
                latest = max(latest + 1, time.time_ns() // 1000)
                values = (*_identity(draft), draft.caption, draft.reviewer, latest, draft.queue)
                values += (draft.inclusion_probability, draft.bulk)
                stored = database.execute(
                    f"INSERT INTO events ({_COLUMNS}, bulk) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
                    "ON CONFLICT (event_id) DO NOTHING",
                    values,
                )
                if stored.rowcount == 0:
                    made.append(_stored_before(database, draft))
                else:
                    made.append(_decision((*values[:8], latest, *values[9:11])))
        return made

    def add(self, decisions: Iterable[Decision], pushed: bool) -> int:
        """Takes in decisions that were made elsewhere, each event once; returns how many are new.

        Args:
            pushed: they lie in the run's ``decisions`` folder already.
        """
        before = self.last_seq()
        with self._writing() as database:
            database.executemany(
                f"INSERT INTO events ({_COLUMNS}, pushed) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
                "ON CONFLICT (event_id) DO NOTHING",
                (
                    (
                        *_identity(each),
                        *(each.caption, each.reviewer, _microseconds(each.at), each.queue),
                        *(each.inclusion_probability, int(pushed)),
                    )
                    for each in decisions
                ),
            )
            (count,) = database.execute("SELECT count(*) FROM events WHERE seq > ?", (before,)).fetchone()
        return int(count)

    def last_seq(self) -> int:
        """The number of the newest event; 0 when there is none."""
        (seq,) = self._reader().execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(seq)

    def samples_since(self, seq: int) -> tuple[int, list[str]]:
        """The samples that have events after `seq`, and the number of the newest event."""
        rows = self._reader().execute("SELECT seq, sample_id FROM events WHERE seq > ?", (seq,)).fetchall()
        return max((row[0] for row in rows), default=seq), sorted({row[1] for row in rows})

    def by_sample(self, sample_ids: Sequence[str] | None = None) -> Iterator[tuple[str, list[Decision]]]:
        """The events of each sample in order: of all samples that have any, or of those named."""
        order = "ORDER BY sample_id, at, event_id"
        if sample_ids is None:
            yield from _grouped(self._reader().execute(f"SELECT {_COLUMNS} FROM events {order}"))
            return
        for start in range(0, len(sample_ids), _BATCH):
            part = list(sample_ids[start : start + _BATCH])
            marks = ",".join("?" * len(part))
            query = f"SELECT {_COLUMNS} FROM events WHERE sample_id IN ({marks}) {order}"
            yield from _grouped(self._reader().execute(query, part))

    def all(self) -> Iterator[Decision]:
        """All events in the order they were made."""
        return map(_decision, self._reader().execute(f"SELECT {_COLUMNS} FROM events ORDER BY at, event_id"))

    def of_bulk(self, bulk: str) -> list[Decision]:
        """The events of one bulk decision."""
        rows = self._reader().execute(f"SELECT {_COLUMNS} FROM events WHERE bulk = ?", (bulk,))
        return [_decision(row) for row in rows]

    def to_push(self, most: int) -> list[Decision]:
        """Events that the run's ``decisions`` folder does not have yet, the oldest first."""
        rows = self._reader().execute(f"SELECT {_COLUMNS} FROM events WHERE pushed = 0 ORDER BY seq LIMIT ?", (most,))
        return [_decision(row) for row in rows]

    def mark_pushed(self, decisions: Sequence[Decision]) -> None:
        with self._writing() as database:
            database.executemany(
                "UPDATE events SET pushed = 1 WHERE event_id = ?", ((each.event_id,) for each in decisions)
            )

    def reviewers(self) -> list[str]:
        """Everybody who has decided something, by name."""
        query = "SELECT reviewer FROM events UNION SELECT reviewer FROM preferences ORDER BY 1"
        return [row[0] for row in self._reader().execute(query)]

    def assign(self, assignments: Sequence[Assignment]) -> None:
        with self._writing() as database:
            database.executemany(
                "INSERT INTO assignments (reviewer, sample_id, asked, queue, inclusion_probability, at) "
                "VALUES (?,?,?,?,?,?)",
                (tuple(vars(each).values()) for each in assignments),
            )

    def assignments(self) -> list[Assignment]:
        """All of them, the oldest first."""
        query = "SELECT reviewer, sample_id, asked, queue, inclusion_probability, at FROM assignments ORDER BY seq"
        return [Assignment(*row) for row in self._reader().execute(query)]

    def preference(self, reviewer: str, name: str) -> Any:
        """What the reviewer has set (JSON), or None."""
        query = "SELECT value FROM preferences WHERE reviewer = ? AND name = ?"
        row = self._reader().execute(query, (reviewer, name)).fetchone()
        return json.loads(row[0]) if row else None

    def set_preference(self, reviewer: str, name: str, value: Any) -> None:
        with self._writing() as database:
            database.execute(
                "INSERT INTO preferences VALUES (?,?,?) ON CONFLICT DO UPDATE SET value = excluded.value",
                (reviewer, name, json.dumps(value)),
            )

    def answer(self, answers: Sequence[Answer]) -> None:
        """Stores what a reviewer said of a pair; the same `answer_id` and question again changes nothing."""
        with self._writing() as database:
            database.executemany(
                "INSERT INTO answers (answer_id, comparison, pair, question, answer, left_is, reviewer, at) "
                "VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                ((*vars(each).values(), time.time_ns() // 1000) for each in answers),
            )

    def answers(self, comparison: str) -> list[Answer]:
        """The answers that hold: of each reviewer the last to a question about a pair."""
        query = (
            "SELECT answer_id, comparison, pair, question, answer, left_is, reviewer FROM answers "
            "WHERE comparison = ? ORDER BY seq"
        )
        rows = (Answer(*row) for row in self._reader().execute(query, (comparison,)))
        return list({(each.reviewer, each.pair, each.question): each for each in rows}.values())

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self.path)
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable when the block has ended."""
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                except BaseException:
                    self._writer.execute("ROLLBACK")
                    raise
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise RequestError(507, f"{self.path} cannot be written ({error}): nothing was stored") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -4096")
    return connection


def _identity(event: Draft | Decision) -> tuple[Any, ...]:
    reasons = json.dumps(list(event.reasons))
    return event.event_id, event.sample_id, event.layer_index, event.verdict, reasons, event.rating


def _stored_before(database: sqlite3.Connection, draft: Draft) -> Decision:
    query = f"SELECT {_COLUMNS} FROM events WHERE event_id = ?"
    stored = _decision(database.execute(query, (draft.event_id,)).fetchone())
    # What was not said again is carried over from what held before, and may have changed between two tries.
    if (*_identity(stored)[:5], stored.reviewer) != (*_identity(draft)[:5], draft.reviewer):
        raise RequestError(409, f"event {draft.event_id} is stored already, and says something else")
    return stored


def _decision(row: Sequence[Any]) -> Decision:
    event_id, sample_id, layer, verdict, reasons, rating, caption, reviewer, at, queue, probability = row
    moment = _EPOCH + at * _MICROSECOND
    return Decision(
        event_id, sample_id, layer, verdict, tuple(json.loads(reasons)), rating, caption, reviewer, moment, queue,
        probability,
    )  # fmt: skip


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _grouped(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[str, list[Decision]]]:
    for sample_id, events in groupby(map(_decision, rows), key=lambda event: event.sample_id):
        yield sample_id, list(events)
