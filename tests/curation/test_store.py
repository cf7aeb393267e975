import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from curation.errors import RequestError
from curation.store import (
    Answer,
    Assignment,
    DecisionStore,
    Draft,
)
from layered.errors import UserError
from tests.ledger.runs import on, sample_id


@pytest.fixture
def store(tmp_path: Path) -> DecisionStore:
    return DecisionStore(tmp_path / "folder" / "review.sqlite")


def draft(event: str, number: int = 1, verdict: str = "keep", **fields: Any) -> Draft:
    values: dict[str, Any] = {"reasons": (), "rating": None, "caption": "", "reviewer": "ann", "queue": ""}
    return Draft(event, sample_id(number), -1, verdict, **{**values, **fields}, inclusion_probability=1.0)


def test_what_was_stored_is_there_after_opening_again(store: DecisionStore) -> None:
    (made,) = store.append([draft("a", reasons=("halo", "cut"), rating=3.5, caption='ä "quoted"\n', queue="audit")])
    assert made.at.tzinfo is UTC
    again = DecisionStore(store.path)
    assert list(again.all()) == [made]
    assert dict(again.by_sample()) == {sample_id(1): [made]}
    assert made.reasons == ("halo", "cut")


def test_a_retried_event_is_stored_once(store: DecisionStore) -> None:
    first = store.append([draft("a")])
    assert store.append([draft("a"), draft("b")])[0] == first[0]
    assert [event.event_id for event in store.all()] == ["a", "b"]
    with pytest.raises(RequestError, match="says something else") as refused:
        store.append([draft("c"), draft("a", verdict="reject")])
    assert refused.value.status == 409
    assert [event.event_id for event in store.all()] == ["a", "b"], "nothing of a refused request is stored"


def test_times_grow_strictly_even_after_events_from_the_future(store: DecisionStore) -> None:
    store.add([on(1, 0, "keep", at=datetime(2100, 1, 1, tzinfo=UTC))], pushed=True)
    made = store.append([draft(f"own{number}") for number in range(50)])
    times = [event.at for event in made]
    assert times == sorted(set(times))
    assert times[0] > datetime(2100, 1, 1, tzinfo=UTC)


def test_events_are_append_only(store: DecisionStore) -> None:
    store.append([draft("a")])
    database = sqlite3.connect(store.path)
    for statement in ("DELETE FROM events", "UPDATE events SET verdict = 'pro'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)


def test_thousands_of_samples_are_asked_for_at_once(store: DecisionStore) -> None:
    """SQLite takes 999 variables in its older builds."""
    store.append([draft(f"e{number}", number) for number in range(2500)])
    names = [sample_id(number) for number in range(2500)]
    assert [name for name, _ in store.by_sample(names)] == names


def test_events_from_elsewhere_come_once_and_only_new_ones_are_pushed(store: DecisionStore) -> None:
    decisions = [on(1, 1, "keep"), on(2, 2, "reject")]
    assert store.add(decisions, pushed=True) == 2
    assert store.add([*decisions, on(3, 3, "pro")], pushed=False) == 1
    before = store.last_seq()
    own = store.append([draft("own", 4)])
    waiting = store.to_push(10)
    assert [event.event_id for event in waiting] == ["e3", "own"]
    store.mark_pushed(waiting)
    assert store.to_push(10) == []
    assert store.samples_since(before) == (store.last_seq(), [sample_id(4)])
    assert own[0] in list(store.all())


def test_assignments_preferences_and_answers_are_kept(store: DecisionStore) -> None:
    given = Assignment("ann", sample_id(1), "undecided", "audit", 0.05, 7)
    store.assign([given])
    store.set_preference("ann", "keys", {"pro": "1"})
    store.set_preference("ann", "keys", {"pro": "p"})
    answers = [Answer("x", "c", "p1", "prompt", answer, "a", "ann") for answer in ("a", "b")]
    store.answer([answers[0]])
    store.answer([Answer("x", "c", "p1", "prompt", "draw", "a", "ann")])
    again = DecisionStore(store.path)
    assert again.assignments() == [given]
    assert (again.preference("ann", "keys"), again.preference("bob", "keys")) == ({"pro": "p"}, None)
    assert again.answers("c") == [answers[0]], "a retried answer changes nothing"
    store.answer([Answer("y", "c", "p1", "prompt", "b", "a", "ann")])
    assert [each.answer for each in again.answers("c")] == ["b"]
    assert again.reviewers() == ["ann"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    path.write_bytes(b"this is no database at all, but it is long enough" * 40)
    with pytest.raises(UserError, match=r"review\.sqlite cannot be used for decisions"):
        DecisionStore(path)
