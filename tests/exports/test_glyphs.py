"""Glyphs: measured as Pillow draws them, outlined and embedded."""

import io
import re

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from exports.glyphs import RESTRICTED_LICENCE, Face, face_of
from layered.fonts import font_file


@pytest.mark.parametrize("text", ["Hello", "jgq", "AV To", "..."])
def test_ink_is_where_pillow_draws_it(text: str) -> None:
    path = font_file("DejaVu Serif")
    measured = face_of(path).measured(text)
    mask = Image.new("L", (1500, 600))
    font = ImageFont.truetype(str(path), 200, layout_engine=ImageFont.Layout.BASIC)
    ImageDraw.Draw(mask).text((100, 400), text, 255, font, anchor="ls")
    drawn = np.array(mask.getbbox()) - (100, 400, 100, 400)
    assert measured.ink is not None
    assert np.abs(np.array(measured.ink) * 200 - drawn).max() <= 1.5


def test_blanks_leave_no_ink() -> None:
    measured = face_of(font_file("DejaVu Sans")).measured("  ")
    assert measured.ink is None
    assert measured.advance > 0.5


def test_a_subset_holds_what_is_needed_and_its_bytes_do_not_change() -> None:
    face = face_of(font_file("DejaVu Sans"))
    data = face.subset("Sale 5€")
    assert data == face.subset("Sale 5€")
    assert set(TTFont(io.BytesIO(data)).getBestCmap()) == {ord(character) for character in "Sale 5€"}


def test_outlines_are_scaled_and_placed() -> None:
    path = face_of(font_file("DejaVu Sans")).outline("I", [10.0], 100.0, 50.0)
    numbers = [float(number) for number in re.findall(r"[\d.]+", path)]
    assert path.startswith("M")
    assert all(10 <= value <= 100 for value in numbers)


def test_a_font_that_must_not_be_embedded_is_known() -> None:
    face = Face(font_file("DejaVu Sans"))
    assert face.may_be_embedded
    face._font["OS/2"].fsType = RESTRICTED_LICENCE
    assert not face.may_be_embedded
