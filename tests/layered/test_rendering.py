import io

import numpy as np
import pytest
from PIL import Image

from layered.rendering import LIGHT_SQUARE, SHEET_PAPER, checkerboard, contact_sheet, encode_webp, on_checkerboard


def test_the_checkerboard_alternates() -> None:
    board = checkerboard((32, 24), square=8)
    assert board.shape == (24, 32, 3)
    assert tuple(board[0, 0]) == LIGHT_SQUARE
    assert (board[:8, :8] == board[8:16, 8:16]).all()
    assert (board[:8, :8] != board[:8, 8:16]).all()


def test_only_transparent_parts_show_the_checkerboard() -> None:
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:, 8:] = (10, 20, 30, 255)
    shown = on_checkerboard(rgba)
    assert (shown[:, 8:] == (10, 20, 30)).all()
    assert (shown[:, :8] == checkerboard((16, 16))[:, :8]).all()


def test_a_contact_sheet_places_every_picture_in_its_cell() -> None:
    tiles = [np.full((40, 40, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(tiles, columns=2, tile=(40, 40), captions=["a", "b", "a very long caption indeed"], gap=8)
    assert sheet.shape == (2 * 62 + 8, 2 * 48 + 8, 3)
    assert (sheet[8:48, 8:48] == 10).all()
    assert (sheet[8:48, 56:96] == 20).all()
    assert (sheet[70:110, 8:48] == 30).all()
    assert (sheet[70:, 56:] == SHEET_PAPER).all()
    assert (sheet[48:62, 8:48] != SHEET_PAPER).any()


def test_a_contact_sheet_of_nothing_or_with_too_few_captions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], columns=2)
    with pytest.raises(ValueError, match="0 captions for 1"):
        contact_sheet([np.zeros((4, 4, 3), np.uint8)], columns=2, captions=[])


def test_thumbnails_keep_aspect_and_alpha_and_are_never_enlarged() -> None:
    rgba = np.zeros((100, 400, 4), np.uint8)
    rgba[:, 200:] = 255
    with Image.open(io.BytesIO(encode_webp(rgba, max_side=200))) as small:
        assert small.size == (200, 50)
        assert small.mode == "RGBA"
        assert small.getpixel((10, 10))[3] == 0
    with Image.open(io.BytesIO(encode_webp(rgba[:, :50, :3]))) as same:
        assert same.size == (50, 100)
