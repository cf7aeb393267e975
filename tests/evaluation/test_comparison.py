"""Won, drawn and lost are counted pair by pair; the interval says what the briefs say."""

import numpy as np
import pytest

from evaluation.comparison import compare


def test_pairs_are_won_drawn_and_lost() -> None:
    found = compare([3, 2, 1, 0, 5], [1, 2, 2, 0, 4], ["a", "a", "b", "b", "c"])
    assert found.pairs == 5
    assert (found.won.value, found.drawn.value, found.lost.value) == pytest.approx((0.4, 0.4, 0.2))
    assert found.points.value == pytest.approx(0.6)


def test_a_model_draws_with_itself_and_turned_round_the_points_add_up() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 4, (2, 60)).tolist()
    briefs = [number // 3 for number in range(60)]
    assert compare(one, one, briefs).points.value == 0.5
    forth, back = compare(one, other, briefs), compare(other, one, briefs)
    assert forth.points.value + back.points.value == pytest.approx(1)
    assert (forth.points.low, forth.points.high) == pytest.approx((1 - back.points.high, 1 - back.points.low))


def test_more_draws_of_the_same_briefs_do_not_make_a_result_surer() -> None:
    one, other = [1, 0, 1, 0, 1, 1], [0, 1, 1, 0, 0, 0]
    once = compare(one, other, list("abcdef"))
    often = compare(one * 8, other * 8, list("abcdef") * 8)
    assert (once.points.low, once.points.high) == pytest.approx((often.points.low, often.points.high))


def test_equal_models_are_told_apart_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    apart = 0
    for _ in range(100):
        difficulty = np.repeat(rng.integers(0, 4, 30), 3)
        one, other = (rng.binomial(4, 0.2 + 0.15 * difficulty).tolist() for _ in range(2))
        points = compare(one, other, np.repeat(np.arange(30), 3).tolist()).points
        apart += not points.low <= 0.5 <= points.high
    assert apart <= 14


def test_no_pairs_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="0 pairs"):
        compare([], [], [])
