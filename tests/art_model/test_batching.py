"""Batches by a budget of tokens: pure, complete and equal for all ranks."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.batching import BatchOrder, Epoch, pack_epoch
from layered import UserError

BUDGET = 100


def dealt(epoch: Epoch) -> list[int]:
    return [index for step in epoch.steps for batch in step for index in batch]


@given(
    lengths=st.lists(st.integers(1, 130), min_size=1, max_size=300),
    seed=st.integers(0, 2**40),
    number=st.integers(0, 50),
    ranks=st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_ranks_take_disjoint_and_equally_many_batches_within_the_budget(
    lengths: list[int], seed: int, number: int, ranks: int
) -> None:
    try:
        epoch = pack_epoch(seed, number, lengths, budget=BUDGET, ranks=ranks)
    except UserError:
        assert sum(length <= BUDGET for length in lengths) < ranks
        return
    assert all(len(step) == ranks for step in epoch.steps)
    assert all(batch and sum(lengths[index] for index in batch) <= BUDGET for step in epoch.steps for batch in step)
    indices = dealt(epoch)
    assert len(set(indices)) == len(indices)
    assert len(indices) + sum(epoch.left_out.values()) == len(lengths)
    too_long = sum(length > BUDGET for length in lengths)
    assert epoch.left_out.get(f"longer than the budget of {BUDGET} tokens", 0) == too_long
    assert sum(epoch.left_out.values()) - too_long < ranks
    assert epoch == pack_epoch(seed, number, lengths, budget=BUDGET, ranks=ranks)


@given(lengths=st.lists(st.integers(1, 40), min_size=60, max_size=400), seed=st.integers(0, 2**40))
@settings(max_examples=40, deadline=None)
def test_batches_are_well_filled(lengths: list[int], seed: int) -> None:
    steps = pack_epoch(seed, 0, lengths, budget=BUDGET).steps
    assert len(steps) <= -(-sum(lengths) // BUDGET) * 1.15 + 2


def test_epochs_and_seeds_differ() -> None:
    lengths = [10 + index % 30 for index in range(200)]
    epochs = [pack_epoch(seed, number, lengths, budget=BUDGET) for seed in (0, 1) for number in (0, 1)]
    assert len({epoch.steps for epoch in epochs}) == 4
    assert {tuple(sorted(dealt(epoch))) for epoch in epochs} == {tuple(range(200))}


def test_the_ranks_of_a_step_have_about_equally_much_to_do() -> None:
    lengths = [5 + 7 * index % 61 for index in range(400)]
    steps = pack_epoch(3, 0, lengths, budget=200, ranks=4).steps
    loads = [[sum(lengths[index] for index in batch) for batch in step] for step in steps]
    waited = sum(4 * max(step) - sum(step) for step in loads)
    assert waited <= 0.05 * sum(lengths)


def test_long_and_short_batches_are_spread_over_the_epoch() -> None:
    """Sorting by length serves the ranks only: in time, batches come in random order."""
    lengths = [5 + 7 * index % 61 for index in range(400)]
    steps = pack_epoch(3, 0, lengths, budget=90).steps
    loads = [sum(lengths[index] for index in batch) for batch in chain.from_iterable(steps)]
    assert loads != sorted(loads)
    half = len(loads) // 2
    assert abs(sum(loads[:half]) / half - sum(loads[half:]) / (len(loads) - half)) < 20


def test_nothing_that_fits_is_refused_with_its_reason() -> None:
    with pytest.raises(UserError, match=r"2 designs make no step of 1 batches of at most 100 tokens \(2 are longer"):
        pack_epoch(0, 0, [101, 500], budget=BUDGET)
    with pytest.raises(UserError, match="2 designs make no step of 3 batches"):
        pack_epoch(0, 0, [10, 10], budget=BUDGET, ranks=3)


@given(seed=st.integers(0, 1000), ranks=st.integers(1, 3), positions=st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_position_alone_says_what_comes(seed: int, ranks: int, positions: list[int]) -> None:
    lengths = [5 + 7 * index % 61 for index in range(50)]
    one_by_one = BatchOrder(lengths, seed, BUDGET, ranks)
    places = [one_by_one.at(position) for position in range(61)]
    assert [(place.epoch, place.step) for place in places] == sorted((place.epoch, place.step) for place in places)
    assert [place.epoch for place in places][-1] > 0
    assert all(
        place.batches == pack_epoch(seed, place.epoch, lengths, budget=BUDGET, ranks=ranks).steps[place.step]
        for place in places[::7]
    )
    for position in positions:
        assert BatchOrder(lengths, seed, BUDGET, ranks).at(position) == places[position]


def test_an_epoch_is_whole_in_the_order_of_positions() -> None:
    lengths = [5 + 7 * index % 61 for index in range(50)]
    order = BatchOrder(lengths, 4, BUDGET, 2)
    first = len(order.epoch(0).steps)
    seen = [index for position in range(first) for batch in order.at(position).batches for index in batch]
    assert sorted(seen) == list(range(50))
    assert order.at(first).epoch == 1


def test_the_report_counts_what_is_left_out() -> None:
    report = BatchOrder([50, 50, 50, 50, 300], 0, BUDGET).report()
    assert report == "2 steps an epoch, batches 100% full; 1 designs left out: longer than the budget of 100 tokens"
