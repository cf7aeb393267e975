"""The filters' benchmark: ranks among sound samples, and what is found of a kind by what never heard of it."""

import numpy as np
import pytest

from benchmarks.filter_cases import cases
from benchmarks.filters import _parts, _parts_by_name, left_out
from filters.artifacts import KINDS


def test_a_part_is_that_of_the_worst_score_and_ties_count_half() -> None:
    scores = [{"a": 0.1}, {"a": 0.5, "b": 1.0}, {"a": 0.9, "b": 1.0}, {"b": 0.0}, {}]
    # Of the first three, a: 0.1, 0.5, 0.9 and b: 1.0, 1.0.
    assert np.allclose(_parts_by_name(scores, [0, 1, 2]), [1 / 6, 0.5, 0.5, 0.0, 1.0])


def test_the_worst_of_many_scores_is_compared_with_that_of_sound_samples() -> None:
    assert np.allclose(_parts(np.array([0.1, 0.3, 0.3, 0.9, 0.0]), [0, 1, 2]), [1 / 6, 2 / 3, 2 / 3, 1, 0])


@pytest.mark.usefixtures("emoji_font")
def test_what_alpha_checks_see_is_found_untold() -> None:
    areas = left_out(cases(60, 8, drawn=False))
    assert areas.keys() == set(KINDS)
    assert all(0 <= value <= 1 for each in areas.values() for value in each.values())
    assert min(areas[kind]["together"] for kind in ("cut", "leftover", "specks")) > 0.85
