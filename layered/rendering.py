"""Pictures for people: checkerboards behind transparency, contact sheets, thumbnails."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from layered.arrays import Color, Size, UInt8Array
from layered.box import Box
from layered.compositing import composite
from layered.pixels import resize, resize_rgb

LIGHT_SQUARE: Color = (255, 255, 255)
DARK_SQUARE: Color = (204, 204, 204)
SHEET_PAPER: Color = (248, 248, 248)
INK: Color = (40, 40, 40)


def checkerboard(size: Size, square: int = 8) -> UInt8Array:
    """White and light gray squares, RGB ``[height, width, 3]``."""
    width, height = size
    dark = (np.arange(height)[:, None] // square + np.arange(width)[None, :] // square) % 2 == 1
    return np.where(dark[..., None], np.array(DARK_SQUARE, np.uint8), np.array(LIGHT_SQUARE, np.uint8))


def on_checkerboard(rgba: UInt8Array, square: int = 8) -> UInt8Array:
    """A straight RGBA image ``[h, w, 4]`` as people expect transparency to look, RGB."""
    size = rgba.shape[1], rgba.shape[0]
    return composite(checkerboard(size, square), [(rgba, Box.canvas(size))])


def contained(pixels: UInt8Array, size: Size) -> UInt8Array:
    """RGB or RGBA scaled to fit into ``(width, height)`` with its aspect kept; never enlarged."""
    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height, 1.0)
    target = max(1, round(width * scale)), max(1, round(height * scale))
    return resize(pixels, target) if pixels.shape[2] == 4 else resize_rgb(pixels, target)


def encode_webp(pixels: UInt8Array, max_side: int = 256) -> bytes:
    """A lossy WebP thumbnail of RGB or RGBA no larger than `max_side`; equal pixels give equal bytes."""
    small = contained(pixels, (max_side, max_side))
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(small)).save(buffer, format="WEBP", quality=85, method=2)
    return buffer.getvalue()


def contact_sheet(
    tiles: Sequence[UInt8Array],
    columns: int,
    tile: Size = (160, 160),
    captions: Sequence[str] | None = None,
    gap: int = 8,
) -> UInt8Array:
    """Pictures in a grid, each centred in its cell, transparent ones over a checkerboard, with a caption below.

    Args:
        tiles: RGB or RGBA images of any size, row by row.
        columns: cells in a row.
        tile: largest ``(width, height)`` of a picture.
        captions: one line per picture, cut to the cell's width.
        gap: pixels between cells.

    Raises:
        ValueError: when there are no tiles, or not as many captions as tiles.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    if captions is not None and len(captions) != len(tiles):
        raise ValueError(f"{len(captions)} captions for {len(tiles)} pictures")
    line = 14 if captions is not None else 0
    rows = -(-len(tiles) // columns)
    cell_width, cell_height = tile[0] + gap, tile[1] + line + gap
    sheet = Image.new("RGB", (columns * cell_width + gap, rows * cell_height + gap), SHEET_PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for index, pixels in enumerate(tiles):
        picture = contained(pixels, tile)
        if picture.shape[2] == 4:
            picture = on_checkerboard(picture)
        left = gap + (index % columns) * cell_width
        top = gap + (index // columns) * cell_height
        offset = (tile[0] - picture.shape[1]) // 2, (tile[1] - picture.shape[0]) // 2
        sheet.paste(Image.fromarray(picture), (left + offset[0], top + offset[1]))
        if captions is not None:
            caption = _shortened(captions[index], tile[0], font)
            draw.text((left, top + tile[1] + 1), caption, font=font, fill=INK)
    return np.array(sheet)


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, ended by … where it would be wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
