"""Designs that the transparent decoder learns from: anything that a layer may hold, over anything.

Every label in every style, lettering, solid things of any surface, hair, smoke, fire, glass and light, plain areas in
gray, black, white and other colours, of any opacity, with shadows and glows: the decoder serves later models
and pictures made by people, not only what ART is trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from layered.arrays import FloatArray, Size, UInt8Array
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.pixels import round_to_uint8, unpremultiply
from layered.placing import alpha_box, trim
from models.recipes import matting_objects as objects
from models.recipes import matting_wisps as wisps
from models.recipes.art_designs import draw_art_design
from models.recipes.matting_textures import random_color, texture
from models.recipes.scenes import paint, soften
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary

TRAINING, EVALUATION = 70, 71  # streams of designs that never meet
LAYERS: Final = (1, 7)
_CANVASES: Final[dict[Size, float]] = {
    (128, 128): 0.7,
    (160, 96): 0.1,
    (96, 160): 0.1,
    (120, 104): 0.05,
    (176, 144): 0.05,
}
_PLAIN_PART: Final = 0.25  # designs of ART's own training set
_LONGER_SIDE: Final = (0.2, 0.75)  # of the canvas's shorter side
_OVERFLOW_PART: Final = 0.12  # of the layers
_FADED_PART: Final = 0.12  # of the layers, made semi-transparent as a whole
_SHADOW_PART, _GLOW_PART = 0.12, 0.06  # of the layers
_LEAST_ALPHA: Final = 8  # of 255; a layer must reach it somewhere

Render = Callable[[int, np.random.Generator], FloatArray]


def draw_decoder_design(rng: np.random.Generator) -> LayeredImage:
    """A random design of one to seven layers, with tight boxes that may overflow the canvas."""
    if rng.random() < _PLAIN_PART:
        return draw_art_design(rng).image
    canvas = list(_CANVASES)[rng.choice(len(_CANVASES), p=list(_CANVASES.values()))]
    count = int(rng.integers(LAYERS[0], LAYERS[1] + 1))
    return LayeredImage(_base(canvas, rng), tuple(_layer(canvas, rng) for _ in range(count)))


def _base(canvas: Size, rng: np.random.Generator) -> UInt8Array:
    vocabulary = load_vocabulary()
    kind = rng.random()
    if kind < 0.65:
        scene = list(vocabulary.scenes.values())[rng.integers(len(vocabulary.scenes))]
        color = str(rng.choice(list(vocabulary.colors))) if scene.takes_color else None
        return soften(paint(scene.name, color, canvas, rng), str(rng.choice(vocabulary.styles)), rng)
    if kind < 0.9:
        return round_to_uint8(texture(max(canvas), rng)[: canvas[1], : canvas[0]])
    return round_to_uint8(np.broadcast_to(_any_color(rng), (canvas[1], canvas[0], 3)))


def _layer(canvas: Size, rng: np.random.Generator) -> Layer:
    side = round(min(canvas) * float(rng.uniform(*_LONGER_SIDE)))
    pixels = _object(side, rng)
    height, width = pixels.shape[:2]
    reach = 0.4 if rng.random() < _OVERFLOW_PART else 0.0
    x = int(rng.integers(-round(reach * width), max(1, canvas[0] - width + round(reach * width) + 1)))
    y = int(rng.integers(-round(reach * height), max(1, canvas[1] - height + round(reach * height) + 1)))
    return Layer(pixels, Box(x, y, x + width, y + height))


def _object(side: int, rng: np.random.Generator) -> UInt8Array:
    """Straight RGBA, trimmed, no side longer than `side`."""
    kinds = list(_KINDS)
    while True:
        layer = kinds[rng.choice(len(kinds), p=list(_KINDS.values()))](side, rng)
        chance = rng.random()
        if chance < _SHADOW_PART:
            layer = wisps.with_shadow(layer, rng)
        elif chance < _SHADOW_PART + _GLOW_PART:
            layer = wisps.glowing(layer, rng)
        if rng.random() < _FADED_PART:
            layer = layer * np.float32(rng.uniform(0.15, 0.9))
        pixels = unpremultiply(np.clip(layer, 0, 1))
        if alpha_box(pixels, _LEAST_ALPHA) is not None:
            return trim(pixels)


def _sprite(side: int, rng: np.random.Generator) -> FloatArray:
    """A drawing of any label in any style, filling the square."""
    vocabulary = load_vocabulary()
    style = vocabulary.default_style if rng.random() < 0.3 else str(rng.choice(vocabulary.styles))
    drawn = place(str(rng.choice(vocabulary.labels)), style, 0.96, (0.0, 0.0), side).convert("RGBa")
    values: FloatArray = np.asarray(drawn, np.float32) / np.float32(255)
    if rng.random() < 0.15:
        values = values.copy()
        values[..., :3] = values[..., :3].mean(-1, keepdims=True)
    return values


def _area(side: int, rng: np.random.Generator) -> FloatArray:
    """One outline in one colour or none, of one opacity."""
    opacity = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.1, 0.95))
    return objects.layer_of(objects.outline(side, rng) * np.float32(opacity), _any_color(rng))


def _any_color(rng: np.random.Generator) -> FloatArray:
    """An RGB colour in 0…1; black, white and exactly mid-gray are not rare."""
    kind = rng.random()
    if kind < 0.45:
        return np.full(3, (0.0, 1.0, 128 / 255)[int(kind / 0.15)], np.float32)
    return random_color(rng)


_KINDS: Final[dict[Render, float]] = {
    _sprite: 0.36, _area: 0.16, objects.solid: 0.14, objects.lettering: 0.1, objects.thin_structure: 0.03,
    wisps.hairy: 0.05, wisps.smoke: 0.05, wisps.fire: 0.03, wisps.light: 0.02, wisps.glass: 0.04, wisps.veil: 0.02,
}  # fmt: skip
