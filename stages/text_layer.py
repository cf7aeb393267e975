"""Text layers, drawn exactly: alpha is the glyphs' coverage, colour is constant."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field

from layered.arrays import Size, UInt8Array
from layered.errors import UserError
from layered.fonts import font_file, missing_characters
from layered.placing import trim
from stages.item_stage import ItemStage
from stages.records import TextDraw, TextLayer

SMALLEST_FONT = 5
"""Font sizes below this many pixels cannot be read."""


class TextConfig(BaseModel):
    """The `text` section.

    Attributes:
        align: of the lines of a wrapped text to each other.
        line_spacing: gap between lines as a part of the font size.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    align: Literal["left", "center", "right"] = "center"
    line_spacing: float = Field(0.2, ge=0, le=4)


class TextLayers(ItemStage[TextDraw, TextLayer]):
    """Draws each text as large as its box allows; an unknown font or a missing glyph fails that text alone."""

    name = "text_layer"

    def __init__(self, config: TextConfig) -> None:
        self._config = config

    def process_item(self, item: TextDraw) -> TextLayer:
        rgba = draw_text(item.text, item.font, item.color, item.box.size, self._config)
        return TextLayer(item, rgba)

    def layer_index(self, item: TextDraw) -> int:
        return item.layer_index


def draw_text(text: str, font: str, color: str, size: Size, config: TextConfig) -> UInt8Array:
    """Text in the largest font size that fits, wrapped between words where that makes it larger.

    Args:
        font: family with an optional style, ``DejaVu Serif:bold italic``, or the path of a font file.
        color: ``#rrggbb``.
        size: ``(width, height)`` to fit into.

    Returns:
        Straight RGBA, trimmed, no larger than `size`.

    Raises:
        UserError: for an unknown font, a character that the font lacks, or a box too small for the text.
    """
    path = font_file(font)
    if lacking := missing_characters(text, path):
        raise UserError(f"font {font!r} lacks {', '.join(map(repr, lacking))}, needed for the text {text!r}")
    # Binary search for the largest size that fits; a size below the smallest fitting one never fits better.
    fits, too_large, lines = SMALLEST_FONT - 1, max(SMALLEST_FONT + 1, size[1] * 2), ""
    while too_large - fits > 1:
        trial = (fits + too_large) // 2
        wrapped = _fitted(text, _font(path, trial), size, config)
        if wrapped is None:
            too_large = trial
        else:
            fits, lines = trial, wrapped
    if fits < SMALLEST_FONT:
        raise UserError(f"a box of {size[0]}×{size[1]} pixels is too small for the text {text!r}")
    coverage = _coverage(lines, _font(path, fits), config)
    rgba = np.empty((*coverage.shape, 4), np.uint8)
    rgba[..., :3] = ImageColor.getrgb(color)[:3]
    rgba[..., 3] = coverage
    try:
        return trim(rgba)
    except ValueError:
        raise UserError(f"the text {text!r} has no visible character") from None


@functools.lru_cache(maxsize=64)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout is the same whether or not the optional libraqm is installed.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _fitted(text: str, font: ImageFont.FreeTypeFont, size: Size, config: TextConfig) -> str | None:
    """The text wrapped to a width, or None where it does not fit into `size`."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n"):
        lines.extend(_wrapped(paragraph.split(), font, size[0]))
    wrapped = "\n".join(lines)
    left, top, right, bottom = _extent(wrapped, font, config)
    return wrapped if right - left <= size[0] and bottom - top <= size[1] else None


def _wrapped(words: Sequence[str], font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Words in as few lines as possible; a word wider than `width` stands alone."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]


def _extent(lines: str, font: ImageFont.FreeTypeFont, config: TextConfig) -> tuple[int, int, int, int]:
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    spacing = config.line_spacing * font.size
    left, top, right, bottom = draw.multiline_textbbox((0, 0), lines, font, spacing=spacing, align=config.align)
    return int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))


def _coverage(lines: str, font: ImageFont.FreeTypeFont, config: TextConfig) -> UInt8Array:
    """How much of each pixel the glyphs cover, 0…255."""
    left, top, right, bottom = _extent(lines, font, config)
    mask = Image.new("L", (right - left, bottom - top))
    spacing = config.line_spacing * font.size
    ImageDraw.Draw(mask).multiline_text((-left, -top), lines, 255, font, spacing=spacing, align=config.align)
    return np.asarray(mask)
