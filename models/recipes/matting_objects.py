"""Solid things with exact alpha: outlines of every kind, filled with surfaces, with parts, holes and lettering.

A layer is premultiplied RGBA, float ``[side, side, 4]`` in 0…1.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from models.recipes.matting_textures import Values, fractal_noise, random_color, texture
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary

_OVERSAMPLING: Final = 2
_FACES: Final = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSerif-BoldItalic.ttf",
                 "DejaVuSansMono-Bold.ttf", "DejaVuSans-ExtraLight.ttf")  # fmt: skip

Draw = Callable[[ImageDraw.ImageDraw, int, np.random.Generator], None]


def layer_of(alpha: Values, colors: Values) -> Values:
    """Premultiplied RGBA from alpha ``[h, w]`` and straight colours ``[h, w, 3]`` or ``[3]``."""
    return np.dstack([colors * alpha[..., None], alpha]).astype(np.float32)


def over(above: Values, below: Values) -> Values:
    """Porter & Duff's *over* of two premultiplied layers."""
    covered: Values = above + below * (1 - above[..., 3:])
    return covered


def outline(side: int, rng: np.random.Generator, draw: Draw | None = None) -> Values:
    """The coverage of a random solid shape, ``[side, side]`` in 0…1, with edges from sharp to slightly soft."""
    chosen = draw or _OUTLINES[rng.choice(len(_OUTLINES), p=_OUTLINE_SHARES)]
    canvas = Image.new("L", (side * _OVERSAMPLING, side * _OVERSAMPLING))
    chosen(ImageDraw.Draw(canvas), side * _OVERSAMPLING, rng)
    if rng.random() < 0.5:
        canvas = canvas.rotate(float(rng.uniform(-40, 40)), Image.Resampling.BILINEAR)
    mask = np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    softness = rng.choice([0.0, 0.5, 0.9, 1.5], p=[0.3, 0.35, 0.25, 0.1])
    softened: Values = ndimage.gaussian_filter(mask, softness) if softness else mask
    return softened


def solid(side: int, rng: np.random.Generator) -> Values:
    """An opaque object: one outline, its surface, parts drawn upon it, light along its edge, and perhaps holes."""
    alpha = outline(side, rng)
    colors = texture(side, rng)
    for _ in range(int(rng.integers(0, 6))):
        part = outline(side, rng)
        shift = rng.integers(-side // 3, side // 3, 2)
        part = np.roll(part, (int(shift[0]), int(shift[1])), (0, 1))
        fill = texture(side, rng) if rng.random() < 0.4 else random_color(rng)
        colors = colors * (1 - part[..., None]) + fill * part[..., None]
    if rng.random() < 0.4:
        lines = thin_lines(side, rng)[..., None]
        colors = colors * (1 - lines) + random_color(rng) * lines
    if rng.random() < 0.4:
        # Round things are darker or lighter towards their edge.
        depth = np.minimum(ndimage.distance_transform_edt(alpha > 0.5) / rng.uniform(3, 40), 1)
        colors = np.clip(colors * (1 + rng.uniform(-0.6, 0.4) * (1 - depth))[..., None], 0, 1)
    if rng.random() < 0.15:
        hole = np.roll(outline(side, rng), tuple(rng.integers(-side // 4, side // 4, 2)), (0, 1))
        alpha = alpha * (1 - hole)
    return layer_of(alpha, colors)


def sprite(side: int, rng: np.random.Generator) -> Values:
    """A drawing that the embedded model learns from, in one of its styles."""
    vocabulary = load_vocabulary()
    label = vocabulary.labels[rng.integers(len(vocabulary.labels))]
    style = vocabulary.styles[rng.integers(len(vocabulary.styles))]
    fill, shift = float(rng.uniform(0.5, 0.95)), tuple(rng.uniform(-0.1, 0.1, 2).tolist())
    drawn = place(label, style, fill, (shift[0], shift[1]), 192).convert("RGBa")
    how = Image.Resampling.NEAREST if style == "pixel" else Image.Resampling.BICUBIC
    values = np.asarray(drawn.resize((side, side), how), np.float32) / 255
    values[..., :3] = np.minimum(values[..., :3], values[..., 3:])
    return values


def lettering(side: int, rng: np.random.Generator) -> Values:
    """One to three lines of text in one colour or surface, perhaps with an outline."""
    canvas = Image.new("L", (side, side))
    rim = Image.new("L", (side, side))
    stroke = int(rng.integers(1, 6)) if rng.random() < 0.4 else 0
    size, y = float(rng.uniform(0.06, 0.4)) * side, float(rng.uniform(0, 0.5)) * side
    face = ImageFont.truetype(_FACES[rng.integers(len(_FACES))], size)
    for _ in range(int(rng.integers(1, 4))):
        letters = rng.choice(list(string.ascii_letters + string.digits + " !?&"), int(rng.integers(2, 14)))
        corner = (float(rng.uniform(-0.05, 0.3)) * side, y)
        ImageDraw.Draw(canvas).text(corner, "".join(letters), fill=255, font=face)
        if stroke:
            ImageDraw.Draw(rim).text(corner, "".join(letters), fill=255, font=face, stroke_width=stroke)
        y += 1.2 * size
    face_alpha, rim_alpha = (np.asarray(each, np.float32) / 255 for each in (canvas, rim))
    colors = texture(side, rng) if rng.random() < 0.3 else random_color(rng)
    written = layer_of(face_alpha, colors)
    return over(written, layer_of(rim_alpha, random_color(rng))) if stroke else written


def thin_structure(side: int, rng: np.random.Generator) -> Values:
    """Wires, nets, branches and spokes."""
    alpha = np.clip(thin_lines(side, rng) + thin_lines(side, rng), 0, 1)
    return layer_of(alpha, texture(side, rng) if rng.random() < 0.3 else random_color(rng))


def thin_lines(side: int, rng: np.random.Generator) -> Values:
    """Coverage of thin lines: a net, a fan, a tree or arcs, ``[side, side]``."""
    span = side * _OVERSAMPLING
    canvas = Image.new("L", (span, span))
    draw = ImageDraw.Draw(canvas)
    width = int(rng.integers(1, 7))
    kind = rng.integers(4)
    if kind == 0:
        for at in np.arange(rng.uniform(0, 30), span, rng.uniform(16, 80)):
            tilt = rng.uniform(-0.1, 0.1) * span
            draw.line((at, 0, at + tilt, span), fill=255, width=width)
            draw.line((0, at, span, at - tilt), fill=255, width=width)
    elif kind == 1:
        middle = rng.uniform(0.3, 0.7, 2) * span
        reach = rng.uniform(0.2, 0.5) * span
        for angle in np.arange(0, 2 * np.pi, rng.uniform(0.1, 0.6)):
            end = middle + reach * np.array([np.cos(angle), np.sin(angle)])
            draw.line((*middle, *end), fill=255, width=width)
        draw.ellipse((*(middle - reach), *(middle + reach)), outline=255, width=width)
    elif kind == 2:
        _branch(draw, (rng.uniform(0.3, 0.7) * span, 0.95 * span), -np.pi / 2, 0.2 * span, width + 3.0, rng)
    else:
        for _ in range(int(rng.integers(2, 10))):
            box = np.sort(rng.uniform(0.05, 0.95, (2, 2)), axis=0) * span
            start = float(rng.uniform(0, 360))
            draw.arc((*box[0], *box[1]), start, start + float(rng.uniform(60, 330)), fill=255, width=width)
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def _branch(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], angle: float, length: float, width: float,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    if width < 1:
        return
    end = start[0] + length * math.cos(angle), start[1] + length * math.sin(angle)
    draw.line((*start, *end), fill=255, width=round(width))
    for turn in (-rng.uniform(0.15, 0.7), rng.uniform(0.15, 0.7)):
        _branch(draw, end, angle + turn, length * rng.uniform(0.65, 0.9), width * 0.72, rng)


def _box(span: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A box that may touch the frame."""
    size = rng.uniform(0.2, 0.95, 2)
    corner = rng.uniform(-0.06, 1.06 - size)
    x0, y0, x1, y1 = (np.concatenate([corner, corner + size]) * span).tolist()
    return x0, y0, x1, y1


def _ellipse(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    draw.ellipse(_box(span, rng), fill=255)


def _rectangle(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    draw.rounded_rectangle(_box(span, rng), radius=span * float(rng.choice([0.0, 0.02, 0.08])), fill=255)


def _frame(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    """A frame or ring: what it encloses is background."""
    x0, y0, x1, y1 = _box(span, rng)
    inset = min(x1 - x0, y1 - y0) * rng.uniform(0.06, 0.35)
    shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
    shape((x0, y0, x1, y1), fill=255)
    shape((x0 + inset, y0 + inset, x1 - inset, y1 - inset), fill=0)


def _blob(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    """A closed curve with lobes: animals, leaves, clouds."""
    turns = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    waves = np.arange(1, int(rng.integers(3, 14)))
    strength = rng.normal(0, rng.uniform(0.1, 0.35), waves.size) / waves**0.7
    radius = 1 + (strength * np.cos(turns[:, None] * waves + rng.uniform(0, 6.3, waves.size))).sum(axis=1)
    radius = np.clip(radius / np.abs(radius).max(), 0.08, 1)
    middle, reach = rng.uniform(0.35, 0.65, 2) * span, rng.uniform(0.2, 0.5, 2) * span
    points = middle + reach * radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    draw.polygon([(x, y) for x, y in points.tolist()], fill=255)


def _polygon(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 11))))
    radius = rng.uniform(0.3, 1, turns.size) * rng.uniform(0.25, 0.5) * span
    points = span / 2 + radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    draw.polygon([(x, y) for x, y in points.tolist()], fill=255)


def _furniture(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    """Boards on legs: bodies with gaps between thin parts."""
    x0, y0, x1, y1 = _box(span, rng)
    board = (y1 - y0) * rng.uniform(0.05, 0.5)
    draw.rectangle((x0, y0, x1, y0 + board), fill=255)
    legs = int(rng.integers(2, 7))
    thick = (x1 - x0) / legs * rng.uniform(0.08, 0.4)
    for at in np.linspace(x0, x1 - thick, legs):
        draw.rectangle((at, y0, at + thick, y1), fill=255)
    if rng.random() < 0.5:
        low = y0 + (y1 - y0) * rng.uniform(0.5, 0.9)
        draw.rectangle((x0, low, x1, low + thick), fill=255)


def _several(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    """Overlapping shapes that make one body."""
    for _ in range(int(rng.integers(2, 6))):
        (_ellipse, _rectangle, _blob, _polygon)[rng.integers(4)](draw, span, rng)


def _noise_islands(draw: ImageDraw.ImageDraw, span: int, rng: np.random.Generator) -> None:
    """Ragged land: foliage, splashes, torn paper."""
    field = fractal_noise(span // _OVERSAMPLING, rng.uniform(1.2, 2.0), rng)
    middle = np.abs(np.linspace(-1, 1, field.shape[0]))
    fade = 1 - np.maximum(middle[:, None], middle[None, :]) ** 3
    island = Image.fromarray(((field * fade) > rng.uniform(0.35, 0.55)).astype(np.uint8) * 255)
    draw.bitmap((0, 0), island.resize((span, span), Image.Resampling.BICUBIC), fill=255)


_OUTLINES: Final[tuple[Draw, ...]] = (
    _ellipse, _rectangle, _frame, _blob, _polygon, _furniture, _several, _noise_islands
)  # fmt: skip
_OUTLINE_SHARES: Final = (0.13, 0.14, 0.09, 0.24, 0.08, 0.11, 0.13, 0.08)
