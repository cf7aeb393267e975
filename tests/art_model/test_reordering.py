"""Layers that do not overlap change places, with their tokens."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.caching import CachedDesign
from art_model.regions import regions_of
from art_model.reordering import reordered
from layered import Box
from tests.art_model.random_designs import boxes

CANVAS = (96, 96)


def design(layers: list[Box]) -> CachedDesign:
    """Every token holds its region's number."""
    lengths = torch.tensor(regions_of(CANVAS, layers).lengths)
    tokens = torch.arange(len(lengths)).repeat_interleave(lengths)[:, None].half()
    kinds = tuple("text" if index % 2 else "image" for index in range(len(layers)))
    return CachedDesign("s0", 0, CANVAS, tuple(layers), kinds, tokens, "", torch.zeros(1, 2), torch.zeros(2))


@given(layers=st.lists(boxes(), max_size=6), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_tokens_boxes_and_kinds_move_together_and_overlaps_keep_their_order(layers: list[Box], seed: int) -> None:
    before = design(layers)
    after = reordered(before, np.random.default_rng(seed))
    parts = torch.split(after.tokens, list(after.regions.lengths))
    order = [int(part[0, 0]) - 2 for part in parts[2:]]
    assert [int(part[0, 0]) for part in parts[:2]] == [0, 1]
    assert sorted(order) == list(range(len(layers)))
    assert all((part == part[0, 0]).all() for part in parts)
    assert after.boxes == tuple(layers[index] for index in order)
    assert after.kinds == tuple(before.kinds[index] for index in order)
    for upper in range(len(order)):
        for lower in range(upper):
            if layers[order[lower]].intersection(layers[order[upper]]):
                assert order[lower] < order[upper]


def test_free_layers_take_every_order() -> None:
    before = design([Box(0, 0, 16, 16), Box(32, 0, 48, 16), Box(64, 0, 80, 16)])
    found = {reordered(before, np.random.default_rng(seed)).boxes for seed in range(60)}
    assert len(found) == 6
