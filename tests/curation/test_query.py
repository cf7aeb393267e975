from typing import Any

import numpy as np
import pytest

from curation.columns import Columns
from curation.errors import RequestError
from curation.library import Library
from curation.query import QueryRequest, Result, Results, histogram, run_query
from curation.verdicts import SampleState, Verdicts
from tests.curation.reviews import THRESHOLDS, review_run
from tests.ledger.runs import on, sample_id


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    library = Library(review_run(tmp_path_factory.mktemp("query") / "run"), dict(THRESHOLDS))
    library.refresh()
    return library.columns


@pytest.fixture
def verdicts(columns: Columns) -> Verdicts:
    """Sample 1 pro, 2 keep with a rating, 3 rejected for a halo, 4 skipped; a layer of 5 rejected for being cut."""
    found = Verdicts()
    found.grow(columns.rows)
    decided = {
        1: on(1, 1, "pro"),
        2: on(2, 2, "keep", rating=4.0),
        3: on(3, 3, "reject", reasons=("halo",)),
        4: on(4, 4, "skip"),
        5: on(5, 5, "reject", layer=0, reasons=("cut",)),
    }
    for number, decision in decided.items():
        found.put(sample_id(number), SampleState.of([decision]), columns.rows[sample_id(number)])
    return found


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ({}, list(range(12))),
        ({"styles": ["neon"]}, [1, 4, 7, 10]),
        ({"layers": [3, None]}, [1, 2, 4, 5, 7, 8, 10, 11]),
        ({"layers": [None, 2]}, [0, 3, 6, 9]),
        ({"passed": False}, [3, 7, 11]),
        ({"decisions": ["pro", "keep"]}, [1, 2]),
        ({"decisions": ["undecided"]}, [0, 5, 6, 7, 8, 9, 10, 11]),
        ({"decisions": ["skip", "reject"]}, [3, 4]),
        ({"reasons": ["halo", "cut"]}, [3, 5]),
        ({"text": "NUMBERED 1 "}, [1, 10, 11]),
        ({"text": "beach 4 things"}, [2, 4, 5, 8, 11]),
        ({"text": "s0000007"}, [7]),
        ({"scores": {"clip_whole": [0.35, 0.38]}}, [5, 6, 7, 8]),
        ({"scores": {"clip_layer": [None, 0.2]}}, [3, 7, 11]),
        ({"scores": {"clip_layer": [0.1, 0.1]}}, [3, 7, 11]),
        ({"styles": ["flat"], "passed": True, "scores": {"clip_whole": [None, 0.37]}}, [0, 6]),
    ],
)
def test_conditions_hold_together(
    columns: Columns, verdicts: Verdicts, request_: dict[str, Any], wanted: list[int]
) -> None:
    assert found(columns, verdicts, **request_) == wanted


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (["clip_whole"], list(range(12))),
        (["-clip_whole"], list(range(11, -1, -1))),
        (["layers", "-plan"], [9, 6, 3, 0, 10, 7, 4, 1, 11, 8, 5, 2]),
        (["style"], [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]),
        (["-decision"], [1, 2, 3, 4, 0, 5, 6, 7, 8, 9, 10, 11]),
        (["rating"], [2, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (["-decided"], [4, 3, 2, 1, 0, 5, 6, 7, 8, 9, 10, 11]),
    ],
)
def test_rows_are_sorted_and_what_is_missing_comes_last(
    columns: Columns, verdicts: Verdicts, keys: list[str], wanted: list[int]
) -> None:
    sort = [{"by": key.removeprefix("-"), "descending": key.startswith("-")} for key in keys]
    assert found(columns, verdicts, sort=sort) == wanted


def test_the_nearest_threshold_comes_first(columns: Columns, verdicts: Verdicts) -> None:
    order = found(columns, verdicts, sort=[{"by": "threshold"}])
    distance = columns.threshold_distance()
    assert [distance[columns.rows[sample_id(number)]] for number in order] == sorted(distance)


def test_groups_stand_side_by_side(columns: Columns, verdicts: Verdicts) -> None:
    groups = np.full(12, -1, np.int32)
    for group, members in enumerate(([2, 9], [1, 5, 11])):
        groups[[columns.rows[sample_id(number)] for number in members]] = group
    assert found(columns, verdicts, groups, group="duplicates") == [1, 5, 11, 2, 9]
    with pytest.raises(RequestError, match="still being looked for"):
        found(columns, verdicts, group="duplicates")


@pytest.mark.parametrize(
    "request_",
    [{"styles": ["cubist"]}, {"scores": {"beauty": [0, 1]}}, {"reasons": ["dull"]}, {"sort": [{"by": "beauty"}]}],
)
def test_unknown_names_are_refused(columns: Columns, verdicts: Verdicts, request_: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"there is no (style|score|reason)"):
        found(columns, verdicts, **request_)


def test_a_histogram_counts_the_rows_of_a_result() -> None:
    values = np.array([0.0, 0.5, 1.0, np.nan, -np.inf, 0.5], np.float32)
    shown = histogram(np.array([0, 1, 2, 3, 4], np.int32), values, 0.0, 1.0)
    assert (shown.edges[0], shown.edges[-1]) == (0.0, 1.0)
    assert (sum(shown.counts), shown.counts[0], shown.counts[-1]) == (3, 1, 1)
    assert sum(histogram(np.array([0], np.int32), np.array([np.nan], np.float32), 0.0, 1.0).counts) == 0
    assert sum(histogram(np.array([0], np.int32), np.array([2.0], np.float32), 2.0, 2.0).counts) == 1


def test_the_range_of_a_score_is_that_of_its_finite_values() -> None:
    columns = Columns({})
    columns.worst = {"some": np.array([0.25, np.nan, -np.inf, 2.0], np.float32), "none": np.array([np.nan])}
    assert columns.score_range("some") == (0.25, 2.0)
    assert columns.score_range("none") == (0.0, 1.0)


def test_old_results_are_forgotten() -> None:
    results = Results()
    first = results.keep(Result(np.arange(3, dtype=np.int32), 0))
    for _ in range(30):
        results.keep(Result(np.arange(3, dtype=np.int32), 0))
    with pytest.raises(RequestError, match="no longer kept"):
        results.get(first)


def found(columns: Columns, verdicts: Verdicts, groups: Any = None, **fields: Any) -> list[int]:
    rows = run_query(QueryRequest.model_validate(fields), columns, verdicts, groups)
    return [int(columns.ids[row][1:]) for row in rows]
