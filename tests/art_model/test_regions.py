"""Boxes of any kind become token regions that hold them, and nothing more than the grid asks for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.regions import Regions, regions_of
from layered import Box, UserError
from tests.art_model.random_designs import boxes, layouts

TOKENS = st.sampled_from([1, 2, 8, 16])


def covered(regions: Regions, index: int) -> set[tuple[int, int]]:
    """Pixels of the canvas's plane that the tokens of a region cover."""
    token = regions.token
    return {
        (int(y) * token + dy, int(x) * token + dx)
        for _, y, x in regions.items[index].positions()
        for dy in range(token)
        for dx in range(token)
    }


@settings(deadline=None)
@given(boxes(40), TOKENS)
def test_tokens_cover_the_box_and_each_of_them_touches_it(box: Box, token: int) -> None:
    regions = regions_of((64, 64), [box], token=token)
    pixels = {(y, x) for y in range(box.y0, box.y1) for x in range(box.x0, box.x1)}
    assert pixels <= covered(regions, 2)
    for _, y, x in regions.items[2].positions().tolist():
        assert Box(x * token, y * token, (x + 1) * token, (y + 1) * token).intersection(box) is not None


@settings(deadline=None)
@given(boxes(), TOKENS)
def test_the_exact_box_is_found_in_the_aligned_one(box: Box, token: int) -> None:
    region = regions_of((50, 50), [box], token=token).items[2]
    assert region.inner().shifted(region.aligned.x0, region.aligned.y0) == box
    assert Box.canvas(region.aligned.size).contains(region.inner())


@settings(deadline=None)
@given(layouts())
def test_order_is_merged_background_foregrounds_each_row_by_row(regions: Regions) -> None:
    assert [region.layer for region in regions.items] == list(range(len(regions.items)))
    assert regions.items[0].box == regions.items[1].box == Box.canvas(regions.canvas)
    positions = regions.positions()
    assert positions.shape == (regions.tokens, 3)
    assert positions.dtype == torch.int64
    listed = [tuple(row) for row in positions.tolist()]
    assert listed == sorted(set(listed))  # by layer, then y, then x; no token twice
    for region, part in zip(regions.items, regions.slices, strict=True):
        own = positions[part]
        assert len(own) == region.tokens == region.rows * region.columns
        assert set(own[:, 0].tolist()) == {region.layer}


def test_positions_are_those_of_the_canvas_and_negative_where_a_layer_overflows() -> None:
    regions = regions_of((64, 48), [Box(-17, 20, 16, 33)])
    assert regions.items[2].aligned == Box(-32, 16, 16, 48)
    expected = [(2, y, x) for y in (1, 2) for x in (-2, -1, 0)]
    assert [tuple(row) for row in regions.items[2].positions().tolist()] == expected
    assert regions.lengths == (12, 12, 6)


@settings(deadline=None)
@given(layouts())
def test_equal_places_in_different_layers_have_equal_positions(regions: Regions) -> None:
    positions = regions.positions()
    merged, background = (positions[part][:, 1:] for part in regions.slices[:2])
    assert torch.equal(merged, background)


@settings(deadline=None)
@given(st.lists(boxes(), max_size=4))
def test_clipping_keeps_what_is_inside_and_refuses_what_is_outside(some: list[Box]) -> None:
    canvas = Box(0, 0, 60, 70)
    if all(box.intersection(canvas) for box in some):
        regions = regions_of(canvas.size, some, clip_overflow=True)
        assert [region.box for region in regions.items[2:]] == [box.intersection(canvas) for box in some]
        assert int(regions.positions().min()) >= 0
    else:
        with pytest.raises(UserError, match=r"layer \d: its box .* lies outside the canvas"):
            regions_of(canvas.size, some, clip_overflow=True)


def test_any_number_of_layers() -> None:
    assert len(regions_of((32, 32), [Box(0, 0, 9, 9)] * 200).items) == 202


def test_an_empty_canvas_is_refused() -> None:
    with pytest.raises(UserError, match="0×5"):
        regions_of((0, 5), [])
