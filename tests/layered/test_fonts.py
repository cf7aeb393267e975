"""A font's name means one file, the same on every machine."""

from pathlib import Path

import pytest

from layered.errors import UserError
from layered.fonts import font_file, missing_characters

FONTS = [
    f"DejaVu {family}{style}"
    for family in ("Sans", "Serif", "Sans Mono")
    for style in ("", ":bold", ":italic", ":oblique", ":bold italic")
]


@pytest.mark.parametrize("font", FONTS)
def test_bundled_fonts_come_before_those_of_the_system(font: str) -> None:
    assert "mpl-data" in str(font_file(font))


def test_styles_differ() -> None:
    assert font_file("DejaVu Sans") != font_file("DejaVu Sans:bold")
    assert font_file("DejaVu Sans:bold") != font_file("DejaVu Sans:bold oblique")


def test_a_path_means_itself(tmp_path: Path) -> None:
    copy = tmp_path / "own.ttf"
    copy.write_bytes(font_file("DejaVu Serif").read_bytes())
    assert font_file(str(copy)) == copy


@pytest.mark.parametrize("font", ["No Such Family", "DejaVu Sans:blod", "/no/where.ttf"])
def test_a_font_that_is_not_there_is_named(font: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$"):
        font_file(font)


def test_characters_without_a_glyph_are_named_once_and_in_order() -> None:
    assert missing_characters("漢a字 漢", font_file("DejaVu Sans")) == ["漢", "字"]
    assert missing_characters("Sale\n%", font_file("DejaVu Sans")) == []
