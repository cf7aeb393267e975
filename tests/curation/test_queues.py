from datetime import UTC, datetime

import numpy as np
import pytest

from curation.assignments import LEASE_SECONDS, Desk
from curation.columns import Columns
from curation.errors import RequestError
from curation.library import Library
from curation.queues import AUDIT_SHARE, LEAST_AUDITED, QueueRows, queue_named
from curation.verdicts import SampleState, Verdicts
from ledger.decisions import Decision
from tests.curation.reviews import THRESHOLDS, review_run
from tests.ledger.runs import on, sample_id


class Reviewing:
    """Twelve samples (or many without pictures), queues and a desk, with a clock that the test turns."""

    def __init__(self, columns: Columns, overlap: int = 1, planned: int = 12, salt: str = "f1") -> None:
        self.columns = columns
        self.verdicts = Verdicts()
        self.verdicts.grow(columns.rows)
        self.queues = QueueRows(columns, self.verdicts, salt, planned, overlap)
        self.now = 1_000_000_000_000
        self.desk = Desk(columns, self.verdicts, self.queues, overlap, clock=lambda: self.now)
        self.events: dict[str, list[Decision]] = {}

    def decide(self, *decisions: Decision) -> None:
        for decision in decisions:
            events = self.events.setdefault(decision.sample_id, [])
            events.append(decision)
            row = self.columns.rows[decision.sample_id]
            self.verdicts.put(decision.sample_id, SampleState.of(events), row)

    def numbers(self, name: str, reviewer: str = "ann") -> list[int]:
        return [int(self.columns.ids[row][1:]) for row in self.queues.waiting(name, reviewer).tolist()]

    def purpose(self, reviewer: str, name: str) -> str:
        return self.desk.purpose(reviewer, name, "undecided").queue

    def next(self, reviewer: str, count: int = 4, queue: str = "undecided") -> list[str]:
        return self.desk.next(reviewer, queue, count)[0]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    library = Library(review_run(tmp_path_factory.mktemp("queues") / "run"), dict(THRESHOLDS))
    library.refresh()
    return library.columns


def many(count: int) -> Columns:
    """Columns of a large run, as far as queues look at them: every third sample is flagged."""
    columns = Columns({})
    columns.ids = [sample_id(number) for number in range(count)]
    columns.rows = {name: row for row, name in enumerate(columns.ids)}
    columns.place = np.arange(count)
    columns.passed = np.arange(count) % 3 > 0
    return columns


def test_decided_samples_leave_the_undecided_and_own_skips_do_too(small: Columns) -> None:
    review = Reviewing(small)
    assert review.numbers("undecided") == list(range(12))
    review.decide(on(0, 1, "keep"), on(3, 2, "skip"), on(5, 3, "reject", reviewer="bob"))
    assert review.numbers("undecided") == [1, 2, 4, 6, 7, 8, 9, 10, 11]
    assert review.numbers("undecided", "bob") == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    review.decide(on(0, 4, "undo"))
    assert 0 in review.numbers("undecided")


def test_the_nearest_to_a_threshold_come_first(small: Columns) -> None:
    order = Reviewing(small).numbers("threshold")
    distance = small.threshold_distance()
    assert [distance[small.rows[sample_id(number)]] for number in order] == sorted(distance)


def test_filters_and_people_disagree(small: Columns) -> None:
    review = Reviewing(small)
    review.decide(on(3, 1, "keep"), on(0, 2, "reject"), on(1, 3, "keep"), on(7, 4, "reject"))
    assert sorted(review.numbers("disagreement")) == [0, 3]
    review.decide(on(3, 5, "keep", queue="disagreement"))
    assert review.numbers("disagreement") == [0], "who looked at it again is asked no more"


def test_a_sample_without_a_layer_waits_for_its_caption(small: Columns) -> None:
    review = Reviewing(small)
    review.decide(on(3, 1, "keep"), on(4, 2, "keep"), on(5, 3, "reject"), on(6, 4, "keep"))
    assert review.numbers("caption") == []
    review.decide(*(on(number, 5, "reject", 0) for number in (3, 5, 6)))
    assert review.numbers("caption") == [3, 6]  # the fifth goes altogether
    review.decide(on(6, 6, "keep", caption="a dog"))
    assert review.numbers("caption") == [3]
    review.decide(on(3, 7, "keep", queue="caption"))
    assert review.numbers("caption") == []  # somebody looked, and let it stand


def test_reviewers_who_contradict_each_other_make_a_conflict(small: Columns) -> None:
    review = Reviewing(small)
    review.decide(on(2, 1, "keep"), on(2, 2, "pro", reviewer="bob"), on(4, 3, "keep"))
    assert review.numbers("conflict") == []
    review.decide(on(4, 4, "reject", reviewer="bob"))
    assert review.numbers("conflict", "eve") == [4]
    review.decide(on(4, 5, "keep", reviewer="eve", queue="conflict"))
    assert review.numbers("conflict", "eve") == []
    assert review.verdicts.states[sample_id(4)].verdict == "keep"


def test_the_audit_is_a_fixed_part_of_all_samples_whatever_was_decided() -> None:
    columns = many(20_000)
    review = Reviewing(columns, planned=20_000)
    audited = review.queues.members("audit")
    assert review.queues.probability("audit", 0) == AUDIT_SHARE
    assert 850 < len(audited) < 1150, "binomial(20,000, 0.05) has a deviation of 31"
    review.decide(*(on(number, number, "keep") for number in range(500)))
    assert np.array_equal(review.queues.members("audit"), audited)
    half = Reviewing(many(10_000), planned=20_000)
    assert set(half.queues.members("audit")) == {row for row in audited.tolist() if row < 10_000}
    other = Reviewing(many(10_000), planned=20_000, salt="f2")
    assert set(other.queues.members("audit")) != set(half.queues.members("audit"))


def test_of_a_small_run_more_is_audited() -> None:
    review = Reviewing(many(1000), planned=1000)
    assert review.queues.probability("audit", 0) == LEAST_AUDITED / 1000


def test_calibration_draws_as_many_flagged_as_passed_and_says_with_what_chance() -> None:
    columns = many(20_000)
    review = Reviewing(columns, planned=20_000)
    drawn = review.queues.members("calibration")
    passed = columns.passed[drawn]
    assert 230 < passed.sum() < 370
    assert 230 < (~passed).sum() < 370
    weights = [1 / review.queues.probability("calibration", row) for row in drawn.tolist()]
    assert sum(weights) == pytest.approx(20_000, rel=0.1), "Horvitz and Thompson's estimate of the number of samples"
    assert 0.3 < np.mean(passed[:100]) < 0.7, "the order does not tell who passed"
    review.decide(on(int(drawn[0]), 1, "keep", queue="calibration"))
    assert drawn[0] not in review.queues.waiting("calibration", "ann")
    assert drawn[0] in review.queues.waiting("calibration", "bob")


def test_two_reviewers_get_different_samples(small: Columns) -> None:
    review = Reviewing(small)
    ann, bob = review.next("ann", 5), review.next("bob", 5)
    assert [name for name in bob if name in ann and review.purpose("bob", name) != "audit"] == []
    assert review.next("ann", 5) == ann, "what was handed out comes again until it is decided"
    review.decide(on(int(ann[0][1:]), 10**6, "keep", queue="undecided", at=moment(review.now + 1)))
    assert review.next("ann", 4) == ann[1:5]


def test_what_nobody_decides_goes_to_others_after_a_while(small: Columns) -> None:
    review = Reviewing(small)
    ann = review.next("ann", 12)
    assert len(ann) == 12
    assert {review.purpose("bob", name) for name in review.next("bob", 12)} <= {"audit"}
    review.now += (LEASE_SECONDS + 1) * 1_000_000
    assert sorted(review.next("bob", 12)) == sorted(ann), "only audits look at what others have"


def test_with_an_overlap_of_two_each_sample_goes_to_two(small: Columns) -> None:
    review = Reviewing(small, overlap=2)
    ann, bob = review.next("ann", 12), review.next("bob", 12)
    assert sorted(ann) == sorted(bob)
    assert {review.purpose("eve", name) for name in review.next("eve", 12)} <= {"audit"}
    review.decide(on(1, 1, "keep"), on(2, 1, "keep"), on(2, 2, "reject", reviewer="bob"))
    assert 1 in review.numbers("undecided", "bob")
    assert 1 not in review.numbers("undecided", "ann")
    assert 2 not in review.numbers("undecided", "eve")


def test_audits_and_repeats_are_mixed_in_at_their_shares() -> None:
    columns = many(5000)
    review = Reviewing(columns, planned=5000)
    queues: dict[str, int] = {}
    for number in range(1000):
        (name,), fresh = review.desk.next("ann", "undecided", 1)
        purpose = review.desk.purpose("ann", name, "undecided")
        assert purpose.queue == fresh[0].queue
        queues[purpose.queue] = queues.get(purpose.queue, 0) + 1
        review.now += 1_000_000
        verdict = "keep" if number % 2 else "reject"
        chance = purpose.inclusion_probability
        decided = on(int(name[1:]), number, verdict, queue=purpose.queue, at=moment(review.now))
        review.decide(Decision(**{**vars(decided), "inclusion_probability": chance}))
        if purpose.queue == "audit":
            assert chance == AUDIT_SHARE
        if purpose.queue == "repeat":
            first = review.events[name][0]
            assert (first.reviewer, chance) == ("ann", first.inclusion_probability)
        review.now += 1_000_000
    assert 25 < queues["audit"] < 75, "binomial(1000, 0.05): 50 ± 7"
    assert 5 < queues["repeat"] < 40, "binomial(1000, 0.02): 20 ± 4"


def test_a_decision_just_so_has_no_queue(small: Columns) -> None:
    review = Reviewing(small)
    assert vars(review.desk.purpose("ann", sample_id(1), "")) == {"queue": "", "inclusion_probability": 1.0}
    review.decide(on(1, 1, "keep"))
    assert review.desk.purpose("ann", sample_id(1), "undecided").queue == "", "it was not in that queue"
    assert review.desk.purpose("ann", sample_id(2), "undecided").queue == "undecided"


def test_an_unknown_queue_is_refused(small: Columns) -> None:
    with pytest.raises(RequestError, match="undecided, threshold"):
        queue_named("all")
    with pytest.raises(RequestError):
        Reviewing(small).next("ann", queue="../x")


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
