"""Sound things with the looks of photographs: drawings with light, relief and grain, and made-up figures with limbs.

What a photograph of a sound thing has, and no drawing: light from one side, shine, fur, wood, faces of boxes that meet
in straight edges, doors that close in a straight line, many legs. A classifier that never saw these takes them for
faults. Layers are premultiplied RGBA, float ``[side, side, 4]`` in 0…1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from layered.pixels import premultiply
from models.recipes.matting_objects import layer_of, over
from models.recipes.matting_textures import Values, fractal_noise, random_color, texture
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary


def photo_sprite(side: int, rng: np.random.Generator) -> Values:
    """A concept's drawing as if it were photographed."""
    vocabulary = load_vocabulary()
    label = vocabulary.labels[rng.integers(len(vocabulary.concepts))]
    return as_photographed(premultiply(np.asarray(place(label, vocabulary.default_style, 0.86, (0.0, 0.0), side))), rng)


def as_photographed(own: Values, rng: np.random.Generator) -> Values:
    """A drawing ``[side, side, 4]`` as if it were a thing that was photographed: other colours, relief, surface, view,
    edge."""
    side, alpha = own.shape[0], own[..., 3]
    colors = own[..., :3] / np.maximum(alpha[..., None], 1e-3)
    colors = ndimage.gaussian_filter(colors, (0.7, 0.7, 0)) @ (np.eye(3) + rng.normal(0, 0.1, (3, 3)))
    gray = colors.mean(axis=-1, keepdims=True)
    colors = gray + rng.uniform(0.4, 1.1) * (colors - gray)
    colors = np.clip(colors, 0, 1) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.15:
        # A statue, a toy or a carving: one material.
        colors = texture(side, rng) * (0.4 + 0.6 * gray)
    return _seen(layer_of(alpha, _lit(colors, alpha, rng)), rng)


def figure(side: int, rng: np.random.Generator) -> Values:
    """A made-up creature, vessel or piece of furniture, alike on both sides but for light and view."""
    kinds = (_creature, _creature, _vessel, _furniture, _box)
    return _seen(kinds[rng.integers(len(kinds))](side, rng), rng)


def room(side: int, rng: np.random.Generator) -> Values:
    """An opaque scene ``[side, side, 3]``: ground and wall or sky, corners, and things with straight edges on it."""
    picture = np.array(texture(side, rng), np.float32)
    if rng.random() < 0.8:
        horizon = int(side * rng.uniform(0.3, 0.8))
        picture[horizon:] = texture(side, rng)[horizon:]
        if rng.random() < 0.5:
            # Two walls meet: one surface, two lights.
            corner = int(side * rng.uniform(0.15, 0.85))
            picture[:horizon, corner:] *= rng.uniform(0.6, 0.95)
            if rng.random() < 0.4:
                picture[horizon - 3 : horizon] = random_color(rng)
    for _ in range(int(rng.integers(0, 6))):
        # Windows, boards, doors.
        x0, y0 = rng.integers(0, side - 8, 2).tolist()
        x1, y1 = (np.array([x0, y0]) + rng.integers(6, side, 2)).tolist()
        inner = texture(side, rng) if rng.random() < 0.5 else np.broadcast_to(random_color(rng), (side, side, 3))
        picture[y0:y1, x0:x1] = inner[y0:y1, x0:x1]
    lit: Values = np.clip(picture * (1 + 0.5 * (fractal_noise(side, 2.4, rng) - 0.5))[..., None], 0, 1)
    return ndimage.gaussian_filter(lit, (0.5, 0.5, 0)) if rng.random() < 0.5 else lit


def _lit(colors: Values, alpha: Values, rng: np.random.Generator) -> Values:
    """Colours with relief, grain and shine under light from one side."""
    side = alpha.shape[0]
    depth = ndimage.distance_transform_edt(alpha > 0.5)
    height = np.sqrt(np.minimum(depth, side * rng.uniform(0.04, 0.25))) * rng.uniform(0.5, 2.5)
    height += rng.uniform(0, 6) * ndimage.gaussian_filter(colors.mean(axis=-1), 1.5)
    height += rng.uniform(0, 5) * fractal_noise(side, rng.uniform(1.2, 1.8), rng)
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(height, 1.2))
    turn = rng.uniform(-np.pi, 0)
    facing = (slope_x * np.cos(turn) + slope_y * np.sin(turn)) / np.sqrt(1 + slope_x**2 + slope_y**2)
    light = 1 - rng.uniform(0.3, 0.9) * facing
    stretch = float(rng.choice([1.0, 1.0, 4.0, 12.0]))
    grain = fractal_noise(side, rng.uniform(0.6, 1.4), rng, stretch)
    grain = grain.T if rng.random() < 0.5 else grain
    light *= 1 + rng.uniform(0, 0.6) * (grain - 0.5)
    shine = np.clip(-facing - rng.uniform(0.3, 0.7), 0, 1) * rng.uniform(0, 2)
    lit: Values = np.clip(colors * light[..., None] + shine[..., None], 0, 1).astype(np.float32)
    return lit


def _seen(layer: Values, rng: np.random.Generator) -> Values:
    """From another side, turned a little; one in five with a furry or ragged edge; slightly out of a lens's best."""
    side = layer.shape[0]
    turn, shear = rng.normal(0, 0.12), rng.normal(0, 0.08)
    aspect = rng.uniform(0.85, 1.15)
    view = np.array([[np.cos(turn), -np.sin(turn) + shear], [np.sin(turn), np.cos(turn)]]) * [[aspect], [1 / aspect]]
    places = np.mgrid[:side, :side].astype(np.float32) - side / 2
    places = np.einsum("ij,jyx->iyx", view * 1.08, places) + side / 2
    if rng.random() < 0.2:
        reach = side * rng.uniform(0.002, 0.007)
        places += reach * np.stack([4 * (fractal_noise(side, rng.uniform(0.5, 1.2), rng) - 0.5) for _ in range(2)])
    planes = [ndimage.map_coordinates(layer[..., c], places, order=1, mode="constant") for c in range(4)]
    seen = np.stack(planes, axis=-1)
    if rng.random() < 0.3:
        seen = ndimage.gaussian_filter(seen, (*[rng.uniform(0.3, 0.7)] * 2, 0))
    seen = np.clip(seen, 0, 1)
    seen[..., :3] = np.minimum(seen[..., :3], seen[..., 3:])
    turned: Values = seen.astype(np.float32)
    return turned


def _creature(side: int, rng: np.random.Generator) -> Values:
    """A body of a few round parts with pairs of limbs, ears and eyes."""
    palette = [random_color(rng) for _ in range(3)]
    middle = side / 2
    layer = np.zeros((side, side, 4), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        start = np.array([rng.uniform(0.02, 0.2), rng.uniform(0.3, 0.75)]) * side
        joints = [start]
        turn = rng.uniform(-1.2, 1.4)
        for _ in range(int(rng.integers(1, 4))):
            turn += rng.normal(0, 0.7)
            joints.append(joints[-1] + side * rng.uniform(0.07, 0.17) * np.array([np.cos(turn), np.sin(turn)]))
        width = side * rng.uniform(0.025, 0.09)
        ends = rng.uniform(0.5, 1.6)
        layer = over(_pair(side, joints, width, ends, _surface(side, palette, rng), rng), layer)
    for _ in range(int(rng.integers(1, 4))):
        reach = np.array([rng.uniform(0.08, 0.25), rng.uniform(0.08, 0.25)]) * side
        y = rng.uniform(0.3, 0.7) * side
        area = middle - reach[0], y - reach[1], middle + reach[0], y + reach[1]
        mask = _mask(side, functools.partial(ImageDraw.ImageDraw.ellipse, xy=area, fill=255))
        layer = over(layer_of(mask, _lit(_surface(side, palette, rng), mask, rng)), layer)
    for _ in range(int(rng.integers(0, 4))):
        spot = np.array([rng.uniform(0.02, 0.12), rng.uniform(0.25, 0.65)]) * side
        radius = side * rng.uniform(0.01, 0.035)
        layer = over(_pair(side, [spot, spot], 2 * radius, 1.0, np.broadcast_to(random_color(rng), (side, side, 3)),
                           rng), layer)  # fmt: skip
    return layer


def _pair(
    side: int, joints: list[Values], width: float, ends: float, colors: Values, rng: np.random.Generator
) -> Values:
    """A limb through joints, given from the middle line, and its mirror image."""

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        for way in (-1, 1):
            points = [(side / 2 + way * float(x), float(y)) for x, y in joints]
            for index, (x, y) in enumerate(points):
                wide = width * (1 + (ends - 1) * index / max(1, len(points) - 1))
                canvas.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=255)
                if index:
                    canvas.line((*points[index - 1], x, y), fill=255, width=max(1, round(wide)))

    mask = _mask(side, draw)
    return layer_of(mask, _lit(colors, mask, rng))


def _vessel(side: int, rng: np.random.Generator) -> Values:
    """A bottle, vase, goblet or lamp: one profile turned around its axis; half of them of glass."""
    heights = np.linspace(0, 1, 160)
    count = int(rng.integers(4, 8))
    radii = np.interp(heights, np.linspace(0, 1, count), rng.uniform(0.04, 0.3, count))
    profile = ndimage.gaussian_filter1d(radii, rng.uniform(0.5, 12)) * side
    y = (0.08 + 0.84 * heights) * side
    outline = [*zip(side / 2 - profile, y, strict=True), *zip((side / 2 + profile)[::-1], y[::-1], strict=True)]
    mask = _mask(side, lambda draw: draw.polygon([(float(a), float(b)) for a, b in outline], fill=255))
    colors = np.array(_surface(side, [random_color(rng) for _ in range(2)], rng), np.float32)
    for _ in range(int(rng.integers(0, 3))):
        top = int(side * rng.uniform(0.1, 0.8))
        colors[top : top + int(side * rng.uniform(0.03, 0.3))] = random_color(rng)
    # Round: darker towards both sides, with a bright stripe.
    across = (np.arange(side) - side / 2) / np.maximum(np.interp(np.arange(side), y, profile), 1)[:, None]
    light = 1 - rng.uniform(0.1, 0.6) * np.clip(np.abs(across - rng.uniform(-0.5, 0.5)), 0, 1.5)
    stripe = np.exp(-(((across - rng.uniform(-0.7, 0.7)) / rng.uniform(0.05, 0.2)) ** 2)) * rng.uniform(0, 0.7)
    colors = np.clip(colors * light[..., None] + stripe[..., None], 0, 1)
    if rng.random() < 0.5:
        clear = ndimage.gaussian_filter((np.abs(across) < rng.uniform(0.6, 0.93)) * 1.0, 1.5)
        fill = np.arange(side)[:, None] > side * rng.uniform(0.2, 1.1)
        mask = mask * (1 - clear * np.where(fill, rng.uniform(0, 0.4), rng.uniform(0.4, 0.9)) * (1 - stripe))
    return layer_of(mask.astype(np.float32), colors)


def _furniture(side: int, rng: np.random.Generator) -> Values:
    """Boards, legs, spokes and cushions in pairs and rows: gaps between solid parts."""
    surface = texture(side, rng)
    layer = np.zeros((side, side, 4), np.float32)
    half = rng.uniform(0.2, 0.42)
    for _ in range(int(rng.integers(1, 4))):
        leg, thick = rng.uniform(0.1, 1) * half, rng.uniform(0.02, 0.06)
        top, bottom = rng.uniform(0.1, 0.6), rng.uniform(0.75, 0.93)
        lean = rng.uniform(-0.05, 0.05)
        joints = [np.array([leg, top]) * side, np.array([leg + lean, bottom]) * side]
        layer = over(_pair(side, joints, thick * side, rng.uniform(0.5, 1.2), surface, rng), layer)
    for _ in range(int(rng.integers(2, 6))):
        wide, thick, y = rng.uniform(0.5, 1.05) * half, rng.uniform(0.02, 0.16), rng.uniform(0.1, 0.8)
        area = side * (0.5 - wide), side * y, side * (0.5 + wide), side * (y + thick)
        radius = side * float(rng.choice([0, 0.01, 0.04]))
        mask = _mask(side, functools.partial(ImageDraw.ImageDraw.rounded_rectangle, xy=area, radius=radius, fill=255))
        board = surface if rng.random() < 0.7 else texture(side, rng)
        layer = over(layer_of(mask, _lit(board * rng.uniform(0.6, 1.0), mask, rng)), layer)
    return layer


def _box(side: int, rng: np.random.Generator) -> Values:
    """A chest, house or cupboard: two or three flat faces in different light, with doors, lines and handles."""
    surface = texture(side, rng)
    left, right = rng.uniform(0.08, 0.25) * side, rng.uniform(0.75, 0.92) * side
    top, bottom = rng.uniform(0.2, 0.4) * side, rng.uniform(0.7, 0.9) * side
    edge, depth = rng.uniform(0.2, 0.85), rng.uniform(-0.08, 0.12) * side
    at = left + edge * (right - left)
    faces = [[(left, top), (at, top), (at, bottom), (left, bottom)],
             [(at, top), (right, top - depth), (right, bottom - depth), (at, bottom)]]  # fmt: skip
    if rng.random() < 0.6:
        lift = rng.uniform(0.03, 0.15) * side
        faces.append([(left, top), (at, top), (right, top - depth), (left + right - at, top - depth - lift)])
    layer = np.zeros((side, side, 4), np.float32)
    for face in faces:
        points = [(float(x), float(y)) for x, y in face]
        mask = _mask(side, functools.partial(ImageDraw.ImageDraw.polygon, xy=points, fill=255))
        shade = rng.uniform(0.5, 1.05) * (1 + 0.3 * (fractal_noise(side, 2.2, rng) - 0.5))
        layer = over(layer_of(mask, np.clip(surface * shade[..., None], 0, 1)), layer)
    lines = int(rng.integers(0, 5))

    def divide(draw: ImageDraw.ImageDraw) -> None:
        for _ in range(lines):
            wide = int(rng.integers(2, 6))
            if rng.random() < 0.5:
                x = float(rng.uniform(left, at))
                draw.line((x, float(top), x, float(bottom)), fill=255, width=wide)
            else:
                y = float(rng.uniform(top, bottom))
                draw.line((float(left), y, float(at), y), fill=255, width=wide)

    marks = _mask(side, divide) * layer[..., 3]
    return over(layer_of(marks, random_color(rng) * rng.uniform(0, 1)), layer)


def _surface(side: int, palette: list[Values], rng: np.random.Generator) -> Values:
    """One of the figure's colours, mostly with a texture in it."""
    base = palette[rng.integers(len(palette))]
    if rng.random() < 0.25:
        return np.broadcast_to(base, (side, side, 3))
    mixed: Values = np.clip(base * (0.5 + texture(side, rng)), 0, 1)
    return mixed


def _mask(side: int, paint: Callable[[ImageDraw.ImageDraw], None]) -> Values:
    """Coverage ``[side, side]`` in 0…1 of what `paint` draws in white."""
    canvas = Image.new("L", (side, side))
    paint(ImageDraw.Draw(canvas))
    coverage: Values = ndimage.gaussian_filter(np.asarray(canvas, np.float32) / 255, 0.6)
    return coverage
