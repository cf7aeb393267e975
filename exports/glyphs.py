"""The glyphs of a font file: where they stand in a line, what ink they leave, their outlines, and a subset to embed."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fontTools.pens.boundsPen import BoundsPen
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.pens.transformPen import TransformPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from PIL import ImageFont

UNHINTED: Final = 1000
"""Pixels per em at which hinting does not matter."""

RESTRICTED_LICENCE: Final = 0x0002
"""Bit of ``OS/2.fsType``: the font must not be embedded (OpenType specification, OS/2)."""


@dataclass(frozen=True)
class Measured:
    """A line of text in em, from the start of its baseline, y downward.

    Attributes:
        starts: of each character.
        ink: left, top, right, bottom; None for blanks alone.
    """

    advance: float
    starts: tuple[float, ...]
    ink: tuple[float, float, float, float] | None


class Face:
    """One font file; see `face_of`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._font = TTFont(path, fontNumber=0, lazy=True)
        self._glyphs = self._font.getGlyphSet()
        self._names: dict[int, str] = self._font.getBestCmap() or {}
        self._units: int = self._font["head"].unitsPerEm
        self._sized: dict[int, ImageFont.FreeTypeFont] = {}
        self._measured: dict[tuple[str, int], Measured] = {}

    @property
    def ascent(self) -> float:
        """From the baseline to the top of a line, in em, as layout programs take it."""
        return float(self._font["hhea"].ascent) / self._units

    @property
    def may_be_embedded(self) -> bool:
        return "OS/2" not in self._font or self._font["OS/2"].fsType & 0x000F != RESTRICTED_LICENCE

    @property
    def style(self) -> tuple[str, str]:
        """Family and style as the file names them."""
        family, style = self._pillow(UNHINTED).getname()
        return family or self._path.stem, style or ""

    def measured(self, line: str, drawn_at: int = UNHINTED) -> Measured:
        """Advance, positions and ink of a line; hinting moves glyphs a little at a small size `drawn_at`."""
        if (line, drawn_at) not in self._measured:
            self._measured[line, drawn_at] = self._measure(line, drawn_at)
        return self._measured[line, drawn_at]

    def outline(self, line: str, starts: Sequence[float], y: float, size: float) -> str:
        """The SVG path of a line on the baseline `y`, at `size` pixels per em; `starts` of its characters in pixels."""
        pen = SVGPathPen(self._glyphs, ntos=lambda number: f"{number:.2f}".rstrip("0").rstrip("."))
        scale = size / self._units
        for character, start in zip(line, starts, strict=True):
            if (glyph := self._glyph(character)) is not None:
                glyph.draw(TransformPen(pen, (scale, 0, 0, -scale, start, y)))
        return str(pen.getCommands())

    def subset(self, characters: Iterable[str]) -> bytes:
        """The font with the glyphs of these characters alone, as WOFF; equal arguments give equal bytes."""
        options = Options(flavor="woff", layout_features=["kern", "mark", "mkmk", "ccmp"], notdef_outline=True)
        # FontForge's time stamps, which the subsetter knows nothing of and warns about.
        options.drop_tables = [*options.drop_tables, "FFTM"]
        font = TTFont(self._path, fontNumber=0, recalcTimestamp=False)
        subsetter = Subsetter(options)
        subsetter.populate(unicodes={ord(character) for character in characters})
        subsetter.subset(font)
        font.flavor = "woff"
        stream = io.BytesIO()
        font.save(stream)
        return stream.getvalue()

    def _measure(self, line: str, drawn_at: int) -> Measured:
        pillow = self._pillow(drawn_at)
        # Up to and with a character, less its own advance: kerning moves it towards the one before.
        starts = tuple(
            (pillow.getlength(line[:end]) - pillow.getlength(line[end - 1])) / drawn_at
            for end in range(1, len(line) + 1)
        )
        found = []
        for character, start in zip(line, starts, strict=True):
            if (glyph := self._glyph(character)) is not None:
                pen = BoundsPen(self._glyphs)
                glyph.draw(pen)
                if pen.bounds is not None:
                    left, bottom, right, top = (value / self._units for value in pen.bounds)
                    found.append((start + left, -top, start + right, -bottom))
        lefts, tops, rights, bottoms = zip(*found, strict=True) if found else ((), (), (), ())
        ink = (min(lefts), min(tops), max(rights), max(bottoms)) if found else None
        return Measured(pillow.getlength(line) / drawn_at, starts, ink)

    def _pillow(self, size: int) -> ImageFont.FreeTypeFont:
        """Pillow adds kerning; the basic layout is the one that text layers are drawn with."""
        if size not in self._sized:
            self._sized[size] = ImageFont.truetype(str(self._path), size, layout_engine=ImageFont.Layout.BASIC)
        return self._sized[size]

    def _glyph(self, character: str) -> Any:
        name = self._names.get(ord(character))
        return None if name is None else self._glyphs[name]


@functools.lru_cache(maxsize=16)
def face_of(path: Path) -> Face:
    """The face of a font file; a few are kept open."""
    return Face(path)
