"""The fonts that texts are drawn with: which file a name means, and which characters it has."""

import functools
from pathlib import Path
from typing import Literal

from layered.errors import UserError

FONT_STYLES = ("bold", "italic", "oblique")


@functools.cache
def font_file(font: str) -> Path:
    """The file of a font, those bundled with matplotlib before those of the system, so that machines agree.

    Raises:
        UserError: when there is no such family, style or file.
    """
    if font.lower().endswith((".ttf", ".otf", ".ttc")):
        if not Path(font).is_file():
            raise UserError(f"font file {font} does not exist")
        return Path(font)
    import matplotlib
    from matplotlib import font_manager

    family, _, style = font.partition(":")
    words = style.lower().split()
    if unknown := [word for word in words if word not in FONT_STYLES]:
        raise UserError(f"font {font!r}: style {unknown[0]!r} is not one of {', '.join(FONT_STYLES)}")
    slant: Literal["normal", "italic", "oblique"] = "normal"
    if "italic" in words or "oblique" in words:
        slant = "italic" if "italic" in words else "oblique"
    wanted = font_manager.FontProperties([family], style=slant, weight="bold" if "bold" in words else "normal")
    bundled = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")
    for directory in (bundled, None):
        try:
            return Path(font_manager.findfont(wanted, directory=directory, fallback_to_default=False))
        except ValueError:
            continue
    raise UserError(f"font family {family!r} is not installed; take `DejaVu Sans`, which always is, or a .ttf file")


def missing_characters(text: str, path: Path) -> list[str]:
    """The characters of a text that a font file has no glyph for, each once, in order."""
    known = _characters(path)
    return [character for character in dict.fromkeys(text) if not character.isspace() and ord(character) not in known]


@functools.cache
def _characters(path: Path) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(path)).get_charmap())
