"""How a text layer was set, found out from its pixels: where lines break, how large the font is, where baselines lie.

A sample keeps words, font and colour of a text and the tight box that its glyphs fill, but not the size of the font.
Line breaks, size and line pitch follow from the box; drawn again they must cover the layer's own pixels, or nothing is
claimed: then somebody has changed the layer, or this machine's font is another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from exports.glyphs import UNHINTED, Face, face_of
from layered.arrays import FloatArray, UInt8Array
from layered.errors import UserError
from layered.fonts import FONT_STYLES, font_file, missing_characters
from layered.image import Layer
from layered.sidecar import LayerRecord

Alignment = Literal["left", "center", "right"]

MOST_WORDS: Final = 12
"""Of a paragraph whose line breaks are searched for."""

LEAST_AGREEMENT: Final = 0.6
"""Of the text drawn again with the layer's alpha, both a little blurred: what both cover by what either covers."""

BLUR: Final = 0.04
"""Radius in em by which pictures of a text are blurred before they are compared."""

MOST_SCALED_DOWN: Final = 0.93
"""A text is drawn at this part of its final size or more."""

_PITCHES: Final = (0.7, 3.0)
"""Possible distances of baselines, in em."""


@dataclass(frozen=True)
class Line:
    """One line: where each character starts and where the baseline lies, in pixels from the layer's corner."""

    text: str
    starts: tuple[float, ...]
    y: float


@dataclass(frozen=True)
class SetText:
    """A text as it was set.

    Attributes:
        font: the file; `family`, `bold` and `italic` name it.
        size: pixels per em.
        pitch: pixels from baseline to baseline.
        color: ``#rrggbb``.
        align: of the lines to each other.
    """

    font: Path
    family: str
    bold: bool
    italic: bool
    size: float
    pitch: float
    color: str
    align: Alignment
    lines: tuple[Line, ...]


def set_text(layer: Layer, record: LayerRecord) -> SetText:
    """How the text of a layer was set.

    Raises:
        ValueError: in one line, when that cannot be told.
    """
    try:
        font = font_file(record.font)
    except UserError as error:
        raise ValueError(str(error)) from error
    if lacking := missing_characters(record.text, font):
        raise ValueError(f"font {record.font!r} lacks {lacking[0]!r}")
    face = face_of(font)
    found = [each for lines, align in _candidates(record.text, face) for each in _settings(lines, align, layer, face)]
    scored = [(_agreement(each, layer.pixels[..., 3], font), each) for each in found]
    if not scored or max(score for score, _ in scored) < LEAST_AGREEMENT:
        raise ValueError(f"the text in font {record.font!r} does not look like its layer")
    _, (size, pitch, align, lines) = max(scored, key=lambda each: each[0])
    family, words = _named(record.font, face)
    return SetText(
        font,
        family,
        bold="bold" in words,
        italic=bool({"italic", "oblique"} & words),
        size=size,
        pitch=pitch,
        color=record.color or "#000000",
        align=align,
        lines=lines,
    )


_Setting = tuple[float, float, Alignment, tuple[Line, ...]]
"""Size, pitch, alignment, lines."""


def _candidates(text: str, face: Face) -> Iterator[tuple[tuple[str, ...], Alignment]]:
    """Ways to break a text into lines by greedy wrapping, each with the ways to align them."""
    paragraphs = [paragraph.split() for paragraph in text.strip().split("\n")]
    wraps = dict.fromkeys(
        tuple(line for words in paragraphs for line in _wrapped(words, face, width))
        for width in _widths(paragraphs, face)
    )
    for lines in wraps:
        yield lines, "center"
        if len(lines) > 1:
            yield lines, "left"
            yield lines, "right"


def _widths(paragraphs: list[list[str]], face: Face) -> list[float]:
    """Widths in em at which greedy wrapping may change, the widest first."""
    runs = {
        " ".join(words[start:end])
        for words in paragraphs
        if len(words) <= MOST_WORDS
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    }
    return [math.inf, *sorted((face.measured(run).advance for run in runs), reverse=True)]


def _wrapped(words: list[str], face: Face, width: float) -> list[str]:
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and face.measured(longer).advance <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]


def _settings(lines: tuple[str, ...], align: Alignment, layer: Layer, face: Face) -> Iterator[_Setting]:
    """How lines can fill the layer's box. The font was hinted at a whole size, then scaled up a little to its box."""
    if (plain := _fitted(lines, align, layer, face, UNHINTED)) is not None:
        yield plain
        for drawn_at in range(max(1, math.floor(plain[0] * MOST_SCALED_DOWN)), math.ceil(plain[0]) + 1):
            if (hinted := _fitted(lines, align, layer, face, drawn_at)) is not None:
                yield hinted


def _fitted(lines: tuple[str, ...], align: Alignment, layer: Layer, face: Face, drawn_at: int) -> _Setting | None:
    """The size and pitch at which the lines' ink fills the layer's box; None when none does."""
    measured = [face.measured(line, drawn_at) for line in lines]
    widest = max(line.advance for line in measured)
    starts = [{"left": 0.0, "center": 0.5, "right": 1.0}[align] * (widest - line.advance) for line in measured]
    inked = [(start, line.ink) for start, line in zip(starts, measured, strict=True) if line.ink is not None]
    first, last = measured[0].ink, measured[-1].ink
    if first is None or last is None:
        return None
    left = min(start + ink[0] for start, ink in inked)
    right = max(start + ink[2] for start, ink in inked)
    size = layer.box.width / (right - left)
    if len(lines) == 1:
        pitch = 1.2 * size
        if abs((first[3] - first[1]) * size - layer.box.height) > max(1.5, 0.08 * layer.box.height):
            return None
    else:
        # Ink reaches from the top of the first line to the bottom of the last one.
        pitch = (layer.box.height - (last[3] - first[1]) * size) / (len(lines) - 1)
        if not _PITCHES[0] * size <= pitch <= _PITCHES[1] * size:
            return None
    set_lines = tuple(
        Line(line, tuple((begin + start - left) * size for start in each.starts), -first[1] * size + number * pitch)
        for number, (line, begin, each) in enumerate(zip(lines, starts, measured, strict=True))
    )
    return size, pitch, align, set_lines


def _agreement(setting: _Setting, alpha: UInt8Array, font: Path) -> float:
    """Drawn again, what both cover by what either covers, in 0…1."""
    size, _, _, lines = setting
    mask = Image.new("L", (alpha.shape[1], alpha.shape[0]))
    draw, drawn = ImageDraw.Draw(mask), ImageFont.truetype(str(font), size, layout_engine=ImageFont.Layout.BASIC)
    for line in lines:
        for character, start in zip(line.text, line.starts, strict=True):
            draw.text((start, line.y), character, 255, drawn, anchor="ls")
    # Hinting moves strokes by half a pixel, which thin strokes must not be blamed for.
    blur = ImageFilter.BoxBlur(BLUR * size)
    ours: FloatArray = np.asarray(mask.filter(blur), np.float32)
    theirs: FloatArray = np.asarray(Image.fromarray(alpha).filter(blur), np.float32)
    either = float(np.maximum(ours, theirs).sum())
    return float(np.minimum(ours, theirs).sum()) / either if either else 0.0


def _named(name: str, face: Face) -> tuple[str, frozenset[str]]:
    """Family and style words of ``DejaVu Sans:bold``, or of the font file that stands in its place."""
    family, _, style = name.partition(":")
    if family.lower().endswith((".ttf", ".otf", ".ttc")):
        family, style = face.style
    return family, frozenset(style.lower().split()) & frozenset(FONT_STYLES)
