import io

import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from layered.png import decode_png, encode_png
from tests.layered.strategies import pictures


@given(pictures(4))
def test_rgba_survives_bit_by_bit_even_under_zero_alpha(rgba: np.ndarray) -> None:
    assert np.array_equal(decode_png(encode_png(rgba)), rgba)


@given(pictures(3))
def test_rgb_survives_and_equal_pixels_have_equal_bytes(rgb: np.ndarray) -> None:
    data = encode_png(rgb)
    assert np.array_equal(decode_png(data), rgb)
    assert encode_png(np.asfortranarray(rgb)) == data


def test_an_independent_reader_sees_the_same_pixels() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (9, 5, 4), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(rgba)))), rgba)


def test_palette_images_with_transparency_become_rgba() -> None:
    image = Image.new("P", (3, 2), 0)
    image.info["transparency"] = 0
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", transparency=0)
    assert decode_png(buffer.getvalue()).shape == (2, 3, 4)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"GIF89a"])
def test_half_a_file_is_a_clear_error(damage) -> None:  # type: ignore[no-untyped-def]
    data = encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="not a complete PNG"):
        decode_png(damage(data))
