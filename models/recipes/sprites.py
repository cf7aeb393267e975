"""Sprites to learn from: emoji and coloured shapes as RGBA, in every style, placed on a square canvas.

The emoji come from Debian's `fonts-noto-color-emoji`, which is needed for training only.
"""

import functools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from layered.errors import UserError
from models.vocabulary import load_vocabulary

EMOJI_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
BACKGROUND = (128, 128, 128)
_EMOJI_SIZE = 109  # the only size Pillow opens this bitmap font at
_WORK_SIDE = 192  # styles are applied at this canvas side and then reduced
_PIXELS = 24  # side of the coarse grid of the style `pixel`
_INK = (28, 26, 34)


@functools.cache
def sprite(label: str) -> Image.Image:
    """The trimmed RGBA sprite of a concept or a "<colour> <shape>"."""
    vocabulary = load_vocabulary()
    if label in vocabulary.concepts:
        drawn = _emoji(vocabulary.concepts[label].emoji)
    else:
        color, shape = label.split(" ")
        drawn = _shape(shape, vocabulary.colors[color])
    return drawn.crop(drawn.getchannel("A").getbbox())


def place(label: str, style: str, fill: float, shift: tuple[float, float], side: int = 96) -> Image.Image:
    """A styled sprite on a transparent square canvas.

    Args:
        fill: The sprite's longer side as a part of the canvas's side.
        shift: Offset of its centre from the canvas's centre, as a part of the canvas's side.
        side: Side of the result in pixels; a divisor of 192 keeps the style `pixel` on whole pixels.
    """
    source = sprite(label)
    scale = fill * _WORK_SIDE / max(source.size)
    size = (max(1, round(source.width * scale)), max(1, round(source.height * scale)))
    canvas = Image.new("RGBA", (_WORK_SIDE, _WORK_SIDE))
    corner = (
        round(_WORK_SIDE * (0.5 + shift[0]) - size[0] / 2),
        round(_WORK_SIDE * (0.5 + shift[1]) - size[1] / 2),
    )
    canvas.paste(_resize(source, size), corner)
    return _resize(apply_style(canvas, style), (side, side))


def on_gray(rgba: Image.Image) -> npt.NDArray[np.uint8]:
    """The image over the flat background, uint8 [height, width, 3]."""
    base = Image.new("RGBA", rgba.size, (*BACKGROUND, 255))
    return np.asarray(Image.alpha_composite(base, rgba).convert("RGB"))


def apply_style(rgba: Image.Image, style: str) -> Image.Image:
    """One of the vocabulary's looks as an image transform of a straight RGBA canvas."""
    alpha, rgb = rgba.getchannel("A"), _filled(rgba)
    match style:
        case "cartoon":
            return rgba
        case "outline":
            grown = alpha.filter(ImageFilter.MaxFilter(13)).filter(ImageFilter.GaussianBlur(1.2))
            return Image.alpha_composite(_with_alpha(Image.new("RGB", rgba.size, _INK), grown), rgba)
        case "pixel":
            cell = rgba.width // _PIXELS
            coarse = _resize(rgba, (_PIXELS, _PIXELS), Image.Resampling.BOX)
            hard = coarse.getchannel("A").point(lambda a: 255 if a >= 110 else 0)
            colors = _filled(coarse).point(lambda c: min(255, round(c / 24) * 24))
            size = (_PIXELS * cell, _PIXELS * cell)
            return _with_alpha(colors, hard).resize(size, Image.Resampling.NEAREST)
        case "pastel":
            # Darks turn lilac, so that a black sprite does not vanish on the gray background.
            softer = Image.blend(rgb, rgb.convert("L").convert("RGB"), 0.2)
            lifted = [
                band.point(lambda v, low=low, high=high: round(low + (high - low) * v / 255))
                for band, low, high in zip(softer.split(), (165, 146, 192), (255, 251, 247), strict=True)
            ]
            return _with_alpha(Image.merge("RGB", lifted), alpha)
        case "neon":
            vivid = rgb.convert("HSV")
            hue, saturation, _ = vivid.split()
            strong = saturation.point(lambda s: min(255, round(s * 1.3 + 40)))
            glow = Image.merge("HSV", (hue, strong, Image.new("L", rgba.size, 255))).convert("RGB")
            dark = Image.blend(rgb, Image.new("RGB", rgba.size, (16, 8, 40)), 0.72)
            return _with_alpha(Image.composite(glow, dark, _edges(rgb, alpha, gain=3.0)), alpha)
        case "sketch":
            gray = rgb.convert("L").point(lambda v: min(255, 215 + v // 6))
            ink = Image.new("L", rgba.size, 40)
            return _with_alpha(Image.composite(ink, gray, _edges(rgb, alpha, gain=2.6)).convert("RGB"), alpha)
        case "flat":
            smooth = rgb.filter(ImageFilter.MedianFilter(7))
            inside = np.asarray(smooth)[np.asarray(alpha) > 127]
            palette = Image.fromarray(inside[None]).quantize(4, Image.Quantize.MAXCOVERAGE)
            return _with_alpha(smooth.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB"), alpha)
    raise UserError(f"style {style!r} is not in the vocabulary")


def _emoji(character: str) -> Image.Image:
    if not EMOJI_FONT.exists():
        raise UserError(f"{EMOJI_FONT} is missing: install Debian's fonts-noto-color-emoji to train the models")
    font = ImageFont.truetype(EMOJI_FONT, _EMOJI_SIZE)
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((12, 12), character, font=font, embedded_color=True)
    return canvas


def _shape(shape: str, color: tuple[int, int, int], side: int = 512) -> Image.Image:
    """A filled shape, drawn large and reduced for smooth edges."""
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)

    def polygon(points: list[tuple[float, float]]) -> None:
        draw.polygon([(side / 2 * (1 + 0.94 * x), side / 2 * (1 + 0.94 * y)) for x, y in points], fill=255)

    def regular(corners: int, start: float = -90.0) -> list[tuple[float, float]]:
        angles = [math.radians(start + 360 * i / corners) for i in range(corners)]
        return [(math.cos(a), math.sin(a)) for a in angles]

    low, high = side * 0.03, side * 0.97
    match shape:
        case "circle":
            draw.ellipse((low, low, high, high), fill=255)
        case "square":
            polygon([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)])
        case "triangle":
            polygon([(0, -0.85), (1, 0.85), (-1, 0.85)])
        case "diamond":
            polygon([(0, -1), (0.7, 0), (0, 1), (-0.7, 0)])
        case "pentagon":
            polygon(regular(5))
        case "hexagon":
            polygon(regular(6, 0))
        case "star":
            outer, inner = regular(5), regular(5, -54)
            polygon([p for o, (x, y) in zip(outer, inner, strict=True) for p in (o, (0.42 * x, 0.42 * y))])
        case "heart":
            turns = [2 * math.pi * i / 120 for i in range(120)]
            polygon([(math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)
                      - math.cos(4 * t)) / 16 - 0.1) for t in turns])  # fmt: skip
        case "cross":
            a, b = 0.34, 0.95
            polygon([(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a),
                     (-b, -a), (-a, -a)])  # fmt: skip
        case "ring":
            draw.ellipse((low, low, high, high), fill=255)
            draw.ellipse((side * 0.24, side * 0.24, side * 0.76, side * 0.76), fill=0)
        case "arrow":
            polygon([(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)])
        case "drop":
            turns = [math.radians(a) for a in range(-35, 216, 5)]
            polygon([(0, -1), *((0.66 * math.cos(t), 0.34 + 0.66 * math.sin(t)) for t in turns)])
        case _:
            raise UserError(f"shape {shape!r} is not in the vocabulary")
    reduced = mask.resize((136, 136), Image.Resampling.BOX)
    return _with_alpha(Image.new("RGB", reduced.size, color), reduced)


def _edges(rgb: Image.Image, alpha: Image.Image, gain: float) -> Image.Image:
    """Contours inside and around the object as a mask, uint8 L."""
    blurred = rgb.filter(ImageFilter.GaussianBlur(1.5))
    spread = ImageChops.difference(blurred.filter(ImageFilter.MaxFilter(7)), blurred.filter(ImageFilter.MinFilter(7)))
    inner = ImageChops.lighter(ImageChops.lighter(*spread.split()[:2]), spread.split()[2])
    inner = inner.point(lambda v: min(255, max(0, round((v - 24) * gain))))
    rim = ImageChops.subtract(alpha, alpha.filter(ImageFilter.MinFilter(9)))
    return ImageChops.lighter(inner, rim)


def _filled(rgba: Image.Image) -> Image.Image:
    """RGB with the object's colours carried outwards, so that filters see no edge to black at alpha 0."""
    rgb = rgba.convert("RGB")
    hard = rgba.getchannel("A").point(lambda a: 255 if a > 96 else 0)
    known = Image.composite(rgb, Image.new("RGB", rgba.size), hard)
    blurred = known.convert("RGB").filter(ImageFilter.BoxBlur(6))
    weight = np.asarray(hard.filter(ImageFilter.BoxBlur(6)), np.float32)[..., None] / 255
    outward = np.asarray(blurred, np.float32) / np.maximum(weight, 1 / 255)
    near = np.where(weight > 0, outward, np.array(BACKGROUND, np.float32)).clip(0, 255).astype(np.uint8)
    return Image.composite(rgb, Image.fromarray(near), hard)


def _with_alpha(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    result = rgb.convert("RGBA")
    result.putalpha(alpha)
    return result


def _resize(rgba: Image.Image, size: tuple[int, int], how: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """Resampling in premultiplied colours."""
    return rgba.convert("RGBa").resize(size, how).convert("RGBA")
