"""Composition: designs whose faults are known, and values that can be worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.composition import BOX, CONTRAST, ORDER, VISIBLE, Composition, contrast_ratio, relative_luminance
from filters.config import FiltersConfig
from filters.filter import FilterInput
from layered.arrays import Color
from layered.image import LayeredImage
from stages.text_layer import TextConfig, draw_text
from tests.filters.designs import Plain, design

THRESHOLDS = FiltersConfig().thresholds()


def scores(sample: FilterInput) -> dict[tuple[str, int], float]:
    (result,) = Composition().score([sample])
    return {(row.name, row.layer_index): row.score for row in result.scores}


def flagged(sample: FilterInput) -> set[tuple[str, int]]:
    return {name for name, score in scores(sample).items() if score < THRESHOLDS[name[0]]}


def words(color: str, left: int = 20, top: int = 60) -> Plain:
    pixels = draw_text("Sunny Farm", "DejaVu Sans:bold", color, (160, 50), TextConfig())
    box = (left, top, left + pixels.shape[1], top + pixels.shape[0])
    return Plain(box, kind="text", pixels=pixels, layout_box=(left, top, left + 160, top + 50))


def test_layers_side_by_side_and_things_on_a_panel_are_in_order() -> None:
    side_by_side = [Plain((10, 10, 60, 60)), Plain((80, 10, 150, 90)), words("#203a20", top=100)]
    assert flagged(design(side_by_side)) == set()
    panel = [Plain((10, 10, 190, 150), (240, 230, 210)), Plain((20, 20, 60, 60)), words("#203a20")]
    assert flagged(design(panel)) == set()
    assert scores(design(panel))[VISIBLE, 1] == 1


def test_the_visible_share_is_what_the_layers_above_let_through() -> None:
    found = scores(design([Plain((0, 0, 40, 40)), Plain((0, 0, 20, 40), alpha=255), Plain((20, 0, 40, 40), alpha=51)]))
    assert found[VISIBLE, 0] == pytest.approx(0.5 * 0.8, abs=1e-4)
    assert (found[VISIBLE, 1], found[VISIBLE, 2]) == (1, 1)


def test_a_layer_behind_others_is_hidden_though_no_single_one_covers_it() -> None:
    layers = [Plain((40, 40, 80, 80)), *(Plain((40 + 10 * n, 40, 50 + 10 * n, 80)) for n in range(4))]
    assert (VISIBLE, 0) in flagged(design(layers))
    assert scores(design(layers))[ORDER, 0] == 1


def test_a_small_thing_under_a_large_one_is_in_the_wrong_order_and_on_it_in_the_right_one() -> None:
    small, large = Plain((40, 40, 80, 80)), Plain((53, 20, 150, 150))
    found = flagged(design([small, large]))
    assert (ORDER, 0) in found
    assert flagged(design([large, small])) == set()


def test_a_text_under_a_picture_is_in_the_wrong_order_even_when_the_picture_is_small() -> None:
    text = words("#203a20")
    width = text.box[2] - text.box[0]
    cover = Plain((text.box[0], text.box[1], text.box[0] + 7 * width // 10, text.box[3]))
    assert (ORDER, 0) in flagged(design([text, cover]))
    assert (ORDER, 1) not in flagged(design([cover, text]))


def test_what_lies_beside_the_canvas_is_not_seen_and_what_overflows_it_is() -> None:
    found = scores(design([Plain((-30, 10, 10, 50)), Plain((-40, 0, -5, 20)), Plain((150, 100, 260, 200))]))
    assert [found[VISIBLE, index] for index in range(3)] == [1, 0, 1]


def test_an_empty_layer_is_not_seen() -> None:
    assert scores(design([Plain((10, 10, 40, 40), alpha=0)]))[VISIBLE, 0] == 0


@pytest.mark.parametrize(
    ("placed", "wanted", "share"),
    [
        ((10, 10, 50, 50), (10, 10, 50, 50), 1.0),
        ((20, 10, 40, 50), (10, 10, 50, 50), 0.5),
        ((10, 10, 20, 20), (10, 10, 50, 50), 1 / 16),
        ((60, 60, 90, 90), (10, 10, 50, 50), 0.0),
        ((0, 0, 60, 60), (10, 10, 50, 50), 1.0),
    ],
)
def test_a_box_is_filled_as_far_as_the_placed_box_covers_it(
    placed: tuple[int, int, int, int], wanted: tuple[int, int, int, int], share: float
) -> None:
    assert scores(design([Plain(placed, layout_box=wanted)]))[BOX, 0] == pytest.approx(share)


def test_a_text_fills_its_box_by_its_better_side() -> None:
    box = scores(design([words("#000000")]))[BOX, 0]
    assert box > 0.9


@pytest.mark.parametrize(
    ("text", "base", "readable"),
    [
        ("#000000", (255, 255, 255), True),
        ("#ffffff", (20, 30, 90), True),
        ("#ffee99", (255, 255, 255), False),
        ("#808080", (128, 128, 128), False),
        ("#304060", (20, 30, 90), False),
    ],
)
def test_a_text_is_readable_where_it_contrasts_with_what_lies_under_it(text: str, base: Color, readable: bool) -> None:
    sample = design([words(text)], base)
    assert ((CONTRAST, 0) not in flagged(sample)) is readable


def test_contrast_is_that_with_the_layer_below_and_not_with_the_base_image() -> None:
    panel = Plain((0, 0, 200, 160), (25, 25, 28))
    assert (CONTRAST, 1) in flagged(design([panel, words("#202020")]))
    assert (CONTRAST, 0) not in flagged(design([words("#202020"), panel]))


def test_a_text_that_is_half_on_its_own_colour_is_not_readable() -> None:
    half = Plain((0, 0, 90, 160), (30, 30, 30))
    assert (CONTRAST, 1) in flagged(design([half, words("#1e1e1e")]))


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert scores(design([words("#000000")]))[CONTRAST, 0] == pytest.approx(21, abs=0.01)


def test_a_text_beside_the_canvas_has_no_contrast() -> None:
    assert (CONTRAST, 0) not in scores(design([words("#000000", left=500)]))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    # Published values: WCAG's own examples and the WebAIM contrast checker.
    [((0, 0, 0), (255, 255, 255), 21.0), ((119, 119, 119), (255, 255, 255), 4.48), ((255, 0, 0), (255, 255, 255), 4.0)],
)
def test_the_contrast_ratio_is_wcags(one: Color, other: Color, expected: float) -> None:
    luminances = [relative_luminance(np.array([color], np.uint8)) for color in (one, other)]
    assert float(contrast_ratio(*luminances)[0]) == pytest.approx(expected, abs=0.005)


BOXES = st.tuples(st.integers(-20, 190), st.integers(-20, 150), st.integers(1, 60), st.integers(1, 60))


@given(st.lists(st.tuples(BOXES, st.just(0) | st.integers(100, 255)), min_size=1, max_size=5))
def test_the_visible_share_agrees_with_the_picture(placed: Sequence[tuple[tuple[int, int, int, int], int]]) -> None:
    """White layer, all others black: what of its alpha reaches the whole image is what is seen of it."""
    layers = [Plain((x, y, x + w, y + h), (0, 0, 0), alpha) for (x, y, w, h), alpha in placed]
    shares = scores(design(layers))
    for index, layer in enumerate(layers):
        shown = [Plain(each.box, (255, 255, 255) if each is layer else (0, 0, 0), each.alpha) for each in layers]
        image = design(shown, (0, 0, 0)).image
        alone = LayeredImage(image.base, (image.layers[index],))
        total = float(alone.whole()[..., 0].sum())
        expected = float(image.whole()[..., 0].sum()) / total if total else 0.0
        assert shares[VISIBLE, index] == pytest.approx(expected, abs=0.01)  # the picture is rounded to 8 bits
