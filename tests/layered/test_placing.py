import numpy as np
import pytest
from hypothesis import assume, given

from layered import Box
from layered.placing import alpha_box, fit, trim
from tests.layered.strategies import boxes, tidy_pictures


@given(tidy_pictures())
def test_trimming_keeps_every_visible_pixel_and_leaves_no_empty_rim(rgba: np.ndarray) -> None:
    assume(rgba[..., 3].any())
    trimmed = trim(rgba)
    assert trimmed[..., 3].astype(int).sum() == rgba[..., 3].astype(int).sum()
    alpha = trimmed[..., 3]
    assert alpha[0].any()
    assert alpha[-1].any()
    assert alpha[:, 0].any()
    assert alpha[:, -1].any()


def test_an_empty_picture_has_no_alpha_box_and_cannot_be_trimmed() -> None:
    empty = np.zeros((5, 5, 4), np.uint8)
    assert alpha_box(empty) is None
    with pytest.raises(ValueError, match="nothing to trim"):
        trim(empty)


@given(boxes(), boxes(40))
def test_a_fitted_layer_lies_inside_its_box_centred_and_keeps_its_aspect(into: Box, source: Box) -> None:
    pixels, box = fit(np.full((source.height, source.width, 4), 255, np.uint8), into)
    assert into.contains(box)
    assert pixels.shape == (box.height, box.width, 4)
    assert abs(box.center[0] - into.center[0]) <= 0.5
    assert abs(box.center[1] - into.center[1]) <= 0.5
    # One side fills the box; the other is off by no more than rounding and the one-pixel minimum.
    scale = min(into.width / source.width, into.height / source.height)
    assert abs(box.width - source.width * scale) <= 1
    assert abs(box.height - source.height * scale) <= 1


def test_the_placed_box_is_tight_where_resampling_made_the_rim_invisible() -> None:
    faint = np.full((200, 200, 4), 255, np.uint8)
    faint[:, :60, 3] = 1
    faint[:, :55, 3] = 0
    pixels, box = fit(trim(faint), Box(0, 0, 10, 10))
    assert pixels[:, 0, 3].any()
    assert pixels.shape[:2] == (box.height, box.width)
