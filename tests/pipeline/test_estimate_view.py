"""Amounts in units that are easy to read."""

import pytest

from pipeline.estimate import Estimate, Range
from pipeline.estimate_view import amount, compare, duration, span, storage


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0384, "38 ms"),
        (3.21, "3.2 s"),
        (75, "75 s"),
        (272, "4.5 min"),
        (7300, "2.0 h"),
        (200_000, "2.3 days"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_and_money() -> None:
    assert [storage(size) for size in (12_300, 3.4e6, 5.6e10, 1.2e12)] == ["12 kB", "3.4 MB", "56.0 GB", "1.2 TB"]
    assert amount("price", 1234.5, "EUR") == "1,234.50 EUR"
    assert amount("price", 0.0047) == "0.0047"
    assert amount("gpu_hours", 312.44) == "312.4 h"
    assert amount("gpu_hours", 0.01) == "36 s"
    assert amount("seconds", None) == "unknown"


def test_a_range_keeps_to_the_unit_of_its_middle() -> None:
    assert span("seconds", Range(low=110, mid=130, high=150)) == "2.2 min (1.8 min … 2.5 min)"
    assert span("accepted", Range(low=40.0, mid=40.0, high=40.0)) == "40"
    assert span("price", Range(low=0.5, mid=None, high=None), "EUR") == "unknown (0.5000 EUR … unknown)"


def test_the_truth_stands_beside_what_was_expected() -> None:
    whole, each = Range(low=90, mid=100, high=110), Range(low=9, mid=10, high=11)
    estimate = Estimate(
        planned=20,
        samples=Range(low=20, mid=20, high=20),
        quantities={"seconds": whole, "accepted": each},
        per_accepted={"seconds": each},
        seconds_of={"making": 80},
        busy=1.0,
        light_busy=0.5,
    )
    time, accepted = compare(estimate, {"seconds": 120.0, "accepted": 12.0})
    assert (time.name, time.expected, time.truth, time.ratio) == (
        "wall time",
        "100 s (90 s … 110 s)",
        "2.0 min; 10 s each",
        1.2,
    )
    assert (accepted.per_accepted, accepted.truth) == ("", "12")
