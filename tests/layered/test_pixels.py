import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from layered.pixels import clear_hidden, premultiply, resize, resize_rgb, round_to_uint8, unpremultiply
from tests.layered.strategies import pictures, tidy_pictures


@given(tidy_pictures())
def test_premultiplying_and_back_is_lossless(rgba: np.ndarray) -> None:
    assert np.array_equal(unpremultiply(premultiply(rgba)), rgba)


@given(pictures(4))
def test_hidden_colour_is_cleared_and_nothing_else(rgba: np.ndarray) -> None:
    cleared = clear_hidden(rgba)
    hidden = rgba[..., 3] == 0
    assert not cleared[hidden].any()
    assert np.array_equal(cleared[~hidden], rgba[~hidden])


def test_rounding_is_to_the_nearest_value_and_clips() -> None:
    values = np.array([-0.2, 0.0, 0.4999 / 255, 0.51 / 255, 254.49 / 255, 254.51 / 255, 1.0, 1.7], np.float32)
    assert round_to_uint8(values).tolist() == [0, 0, 0, 1, 254, 255, 255, 255]


@given(pictures(4, 12), st.integers(1, 30), st.integers(1, 30))
def test_colour_under_invisible_pixels_never_shows_after_resizing(rgba: np.ndarray, width: int, height: int) -> None:
    assert np.array_equal(resize(rgba, (width, height)), resize(clear_hidden(rgba), (width, height)))


@given(st.integers(1, 255), st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 40), st.integers(1, 40))
def test_a_flat_picture_stays_flat_at_any_size(
    alpha: int, color: tuple[int, int, int], width: int, height: int
) -> None:
    flat = np.full((9, 7, 4), (*color, alpha), np.uint8)
    resized = resize(flat, (width, height))
    assert resized.shape == (height, width, 4)
    assert np.abs(resized[..., 3].astype(int) - alpha).max() <= 1
    # One step of alpha is 255/alpha steps of straight colour.
    assert np.abs(resized[..., :3].astype(int) - color).max() <= 1 + 255 / alpha


@given(pictures(3, 20), st.integers(1, 40), st.integers(1, 40))
def test_opaque_pictures_are_resized_as_pillow_resizes_rgb(rgb: np.ndarray, width: int, height: int) -> None:
    # Pillow clips its 8-bit result between the two passes: keep the overshoot inside the range.
    calm = 80 + rgb // 3
    expected = np.asarray(Image.fromarray(calm).resize((width, height), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(resize_rgb(calm, (width, height)).astype(int) - expected).max() <= 1
    opaque = np.dstack([calm, np.full(rgb.shape[:2], 255, np.uint8)])
    assert np.abs(resize(opaque, (width, height))[..., :3].astype(int) - expected).max() <= 1
