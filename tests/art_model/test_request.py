"""What cannot be drawn is refused in one line before anything is loaded."""

import numpy as np
import pytest

from art_model.regions import BACKGROUND, FIRST_FOREGROUND, MERGED
from art_model.request import Held, Layout, SampleRequest
from layered import Box, Brief, BriefLayer, UserError

LAYOUT = Layout((32, 24), (Box(0, 0, 10, 8), Box(-4, 4, 12, 30)))


def rgb(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), 255, np.uint8)


def test_a_brief_is_a_layout() -> None:
    layers = (BriefLayer(box=(0, 0, 10, 8)), BriefLayer(box=(-4, 4, 12, 30)))
    brief = Brief(id="x", canvas=(32, 24), style="", whole_caption="", base_caption="", layers=layers)
    assert Layout.of(brief) == LAYOUT


@pytest.mark.parametrize(
    ("canvas", "boxes", "says"),
    [
        ((0, 24), [], "0×24"),
        ((32, 24), [Box(0, 0, 4, 4), Box(40, 0, 44, 4)], r"layer 1: the box \[40, 0, 44, 4\] lies outside"),
        ((32, 24), [Box(0, 0, 129, 4)], "over 4 times"),
        ((32, 24), [Box(0, 0, 4, 4)] * 101, "at most 100"),
    ],
)
def test_an_impossible_layout_is_refused(canvas: tuple[int, int], boxes: list[Box], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Layout(canvas, tuple(boxes))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (Held(layers={2: rgb(10, 8, 4)}), "layer 2 cannot be held: the layout has layers 0…1"),
        (Held(layers={-1: rgb(10, 8, 4)}), "layer -1 cannot be held"),
        (Held(layers={0: rgb(8, 10, 4)}), "held layer 0 must be 8-bit RGBA of 10×8 pixels"),
        (Held(layers={0: rgb(10, 8)}), "held layer 0 must be 8-bit RGBA"),
        (Held(layers={0: rgb(10, 8, 4).astype(np.float32)}), "not float32"),  # type: ignore[arg-type]
        (Held(merged=rgb(24, 32)), "the held merged image has 24×32 pixels, the canvas 32×24"),
        (Held(background=rgb(32, 24, 1)), "the held background must be 8-bit RGB"),
        (Held(background=rgb(32, 24, 4) // 2), "the held background is transparent"),
        (Held(rgb(32, 24), rgb(32, 24), {0: rgb(10, 8, 4), 1: rgb(16, 26, 4)}), "everything is held"),
    ],
)
def test_held_parts_that_do_not_fit_are_refused(held: Held, says: str) -> None:
    with pytest.raises(UserError, match=says):
        SampleRequest("an apple", LAYOUT, held=held)


def test_held_parts_stand_on_the_layer_axis_with_alpha() -> None:
    layer = rgb(16, 26, 4) // 2
    placed = Held(rgb(32, 24), rgb(32, 24, 4), {1: layer}).by_region()
    assert list(placed) == [MERGED, BACKGROUND, FIRST_FOREGROUND + 1]
    assert placed[MERGED].shape == placed[BACKGROUND].shape == (24, 32, 4)
    assert (placed[MERGED] == 255).all()
    assert placed[FIRST_FOREGROUND + 1] is layer
