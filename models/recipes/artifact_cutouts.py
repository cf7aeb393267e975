"""Sound layers and scenes with the very surfaces of photographs: pieces of free ones, cut out by made-up outlines.

An outline's own light and parts stay visible in half of them; a third are things of many parts, each of its own
surface, as furniture, machines and playgrounds are. Layers are premultiplied RGBA, float ``[side, side, 4]`` in 0…1.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from layered.pixels import premultiply
from models.recipes import matting_objects as objects
from models.recipes import matting_wisps as wisps
from models.recipes.artifact_photos import figure
from models.recipes.matting_textures import Values, fractal_noise, random_color, slope_field
from models.recipes.photographs import piece
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary

_OVERSAMPLING = 3


def cut_out(side: int, rng: np.random.Generator) -> Values:
    """A thing with a photograph's surface: a concept's outline, a made-up figure's, a solid's or a hairy one's; or a
    thing of many parts."""
    way = rng.random()
    if way < 0.35:
        return of_many_parts(side, rng)
    if way < 0.6:
        vocabulary = load_vocabulary()
        label = vocabulary.labels[rng.integers(len(vocabulary.concepts))]
        own = premultiply(np.asarray(place(label, vocabulary.default_style, 0.86, (0.0, 0.0), side)))
    elif way < 0.8:
        own = figure(side, rng)
    else:
        own = wisps.hairy(side, rng) if way > 0.92 else objects.solid(side, rng)
    alpha = own[..., 3]
    surface = _surface(side, rng)
    if rng.random() < 0.6:
        gray = (own[..., :3].sum(axis=-1) / np.maximum(3 * alpha, 1e-3))[..., None]
        surface = surface * (rng.uniform(0.2, 0.7) + np.clip(gray, 0, 1) * rng.uniform(0.4, 1))
    return objects.layer_of(alpha, np.clip(surface, 0, 1))


def of_many_parts(side: int, rng: np.random.Generator) -> Values:
    """Beams, ladders, roofs, slides, wheels and panels in a few plain colours and surfaces, one over the other."""
    layer = np.zeros((side, side, 4), np.float32)
    palette = [random_color(rng) for _ in range(int(rng.integers(2, 5)))]
    middle = rng.uniform(0.4, 0.6, 2)
    for _ in range(int(rng.integers(4, 15))):
        mask = _part(side, middle + rng.normal(0, 0.14, 2), rng)
        fill = _surface(side, rng) if rng.random() < 0.35 else palette[rng.integers(len(palette))]
        light = 1 + rng.uniform(0, 0.7) * (slope_field(side, rng) - 0.5)
        grain = 1 + rng.uniform(0, 0.25) * (fractal_noise(side, rng.uniform(0.6, 1.4), rng) - 0.5)
        layer = objects.over(objects.layer_of(mask, np.clip(fill * (light * grain)[..., None], 0, 1)), layer)
    return layer


def landscape(side: int, rng: np.random.Generator) -> Values:
    """An opaque scene ``[side, side, 3]`` that was photographed."""
    return _surface(side, rng, plain=0.0)


def _part(side: int, middle: Values, rng: np.random.Generator) -> Values:
    """The coverage of one part: a beam, a ladder or grating, a roof, a wheel, an arch or a panel."""
    scale = side * _OVERSAMPLING
    canvas = Image.new("L", (scale, scale))
    draw = ImageDraw.Draw(canvas)
    x, y = (float(value) * scale for value in middle)
    wide, high = (float(value) * scale for value in rng.uniform(0.05, 0.3, 2))
    thick = max(2, round(scale * rng.uniform(0.006, 0.035)))
    way = rng.integers(6)
    if way == 0:
        draw.line((x - wide, y - high, x + wide * rng.uniform(-1, 1), y + high), fill=255, width=2 * thick)
    elif way == 1:
        for step in np.linspace(-1, 1, int(rng.integers(3, 10))):
            draw.line((x - wide, y + high * step, x + wide, y + high * step), fill=255, width=thick)
        for edge in (-1, 1):
            draw.line((x + edge * wide, y - high, x + edge * wide, y + high), fill=255, width=thick)
    elif way == 2:
        top = x + wide * rng.uniform(-0.5, 0.5), y - high
        draw.polygon([(x - wide, y + high / 2), top, (x + wide, y + high / 2)], fill=255)
    elif way == 3:
        draw.ellipse((x - wide, y - wide, x + wide, y + wide), outline=255, width=2 * thick)
        if rng.random() < 0.5:
            for turn in np.linspace(0, np.pi, int(rng.integers(3, 7))):
                reach = wide * np.array([np.cos(turn), np.sin(turn)])
                draw.line((x - reach[0], y - reach[1], x + reach[0], y + reach[1]), fill=255, width=thick)
    elif way == 4:
        draw.arc((x - wide, y - high, x + wide, y + high), float(rng.uniform(0, 180)), float(rng.uniform(200, 400)),
                 fill=255, width=3 * thick)  # fmt: skip
    else:
        draw.rounded_rectangle((x - wide, y - high, x + wide, y + high), radius=thick * float(rng.integers(0, 4)),
                               fill=255)  # fmt: skip
    if rng.random() < 0.6:
        canvas = canvas.rotate(float(rng.normal(0, 25)), Image.Resampling.BILINEAR, center=(x, y))
    coverage: Values = np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    return coverage


def _surface(side: int, rng: np.random.Generator, plain: float = 0.15) -> Values:
    """A piece of a photograph in other light and colours; sometimes a plain colour with a photograph's light, and
    sometimes with the stripes or spots of an animal."""
    colors = piece(side, rng)
    if rng.random() < plain:
        light = ndimage.gaussian_filter(colors.mean(axis=-1), side * rng.uniform(0.01, 0.05))[..., None]
        colors = random_color(rng) * (0.4 + light)
    elif rng.random() < 0.5:
        colors = colors @ (np.eye(3) + rng.normal(0, 0.12, (3, 3)))
    if rng.random() < plain:
        stripes = fractal_noise(side, rng.uniform(1.2, 1.8), rng, float(rng.choice([1.0, 3.0, 6.0])))
        stripes = ndimage.gaussian_filter(
            np.sin(stripes * rng.uniform(8, 40)) > rng.uniform(-0.3, 0.5), 0.7, output=np.float32
        )
        colors = colors * (1 - rng.uniform(0.3, 0.8) * (stripes.T if rng.random() < 0.5 else stripes))[..., None]
    changed: Values = np.clip(colors, 0, 1).astype(np.float32) ** np.float32(rng.uniform(0.7, 1.4))
    return changed
