"""Designs that the tiny ART learns from: exact sprites of set A on plain scenes, as layered images.

The vocabulary's labels are split once and for all: set A is what ART learns from designs drawn here, set B is left to
the pipeline's own shards. Both sets hold every colour, every shape and concepts of every theme.
"""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.placing import trim
from models.recipes.captions import scene_caption, things_phrase, whole_caption
from models.recipes.scenes import paint
from models.recipes.sprites import place
from models.vocabulary import Theme, load_vocabulary

CANVASES: tuple[Size, ...] = ((128, 128), (160, 96), (96, 160))
LAYERS = (2, 6)  # foregrounds of a design, both included
TRAINING, EVALUATION, VALIDATION, HELD_OUT_LOSS = 60, 66, 62, 63  # streams of designs that never meet
_OTHER_ASPECTS = 0.15  # of the designs
_LONGER_SIDE = (0.28, 0.6)  # of the canvas's shorter side
_SHAPES_PART = 0.1  # designs of nothing but shapes
_MIXED_PART = 0.35  # designs in which half of the things may come from anywhere
_STRAY_SHAPE = 0.3  # of the things from anywhere
_OVERFLOW_PART = 0.1  # of the layers
_BARE_PART = 0.7  # of the captions of a design's parts
_NAMED_PART = 0.4  # of the things after the first
_TINIEST_ALPHA = 8  # what resampling leaves around a sprite does not widen its box


@functools.cache
def set_a() -> frozenset[str]:
    """Every other concept in the vocabulary's order, and every other colour of each shape."""
    vocabulary = load_vocabulary()
    pairs = [
        f"{color} {shape}"
        for row, shape in enumerate(vocabulary.shapes)
        for column, color in enumerate(vocabulary.colors)
        if (row + column) % 2 == 0
    ]
    return frozenset([*list(vocabulary.concepts)[::2], *pairs])


@functools.cache
def set_b() -> frozenset[str]:
    """All other labels."""
    return frozenset(load_vocabulary().labels) - set_a()


@dataclass(frozen=True)
class Contents:
    """What a design shows, as much as its captions need.

    Attributes:
        labels: of the layers, bottom to top, each label at most once.
        of_theme: whether each layer's label belongs to the theme, so that a caption may leave it to the theme's name.
        color: of the scene, where it takes one.
    """

    labels: tuple[str, ...]
    of_theme: tuple[bool, ...]
    theme: str
    scene: str
    color: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Contents":
        return cls(
            tuple(entry["labels"]), tuple(entry["of_theme"]), entry["theme"], entry["scene"], entry["color"]
        )  # fmt: skip


@dataclass(frozen=True)
class ArtDesign:
    """An exact layered image; the layers' boxes are tight around their sprites."""

    image: LayeredImage
    contents: Contents


def draw_art_design(rng: np.random.Generator, canvas: Size | None = None, layers: int | None = None) -> ArtDesign:
    """A random design of set A.

    Args:
        canvas: (width, height); mostly 128 × 128 when it is left open.
        layers: number of foregrounds; 2 … 6 when it is left open. A crowded canvas may take fewer, but two at least.
    """
    vocabulary = load_vocabulary()
    if canvas is None:
        canvas = CANVASES[int(rng.integers(1, 3))] if rng.random() < _OTHER_ASPECTS else CANVASES[0]
    wanted = int(rng.integers(LAYERS[0], LAYERS[1] + 1)) if layers is None else layers
    theme, things = _things(wanted, rng)
    scene = vocabulary.scenes[str(rng.choice(theme.scenes))]
    color = str(rng.choice(list(vocabulary.colors))) if scene.takes_color else None
    placed: list[tuple[str, Layer]] = []
    for label, side in sorted(((label, _side(label, wanted, canvas, rng)) for label in things), key=lambda it: -it[1]):
        layer = _placed(label, side, canvas, [other.box for _, other in placed], rng)
        if layer is not None or len(placed) < LAYERS[0]:
            placed.append((label, layer or _anywhere(label, side, canvas, rng)))
    if rng.random() < 0.5:  # otherwise large ones lie below
        placed = [placed[index] for index in rng.permutation(len(placed))]
    labels = tuple(label for label, _ in placed)
    base = paint(scene.name, color, canvas, rng)
    return ArtDesign(
        LayeredImage(base, tuple(layer for _, layer in placed)),
        Contents(labels, tuple(label in _of_theme(theme) for label in labels), theme.name, scene.name, color),
    )


@dataclass(frozen=True)
class Caption:
    """A prompt and the labels it names, in the order of its words."""

    text: str
    named: tuple[str, ...]


def partial_caption(contents: Contents, rng: np.random.Generator) -> Caption:
    """A whole caption that names the scene or the theme and some things: whatever is foreign to the theme, at least one
    thing, and some of the others."""
    vocabulary = load_vocabulary()
    order = rng.permutation(len(contents.labels))
    named = [
        contents.labels[index]
        for place_in_order, index in enumerate(order)
        if place_in_order == 0 or not contents.of_theme[index] or rng.random() < _NAMED_PART
    ]
    base = scene_caption(vocabulary.scenes[contents.scene], contents.color, rng)
    text = whole_caption(named, base, vocabulary.themes[contents.theme].title, rng)
    return Caption(text, tuple(named))


def full_caption(contents: Contents, layers: Sequence[int], rng: np.random.Generator) -> str:
    """A caption that names the things of all these layers; seven in ten say nothing else."""
    vocabulary = load_vocabulary()
    labels = [contents.labels[index] for index in rng.permutation(layers)]
    if rng.random() < _BARE_PART:
        return things_phrase(labels, rng)
    base = scene_caption(vocabulary.scenes[contents.scene], contents.color, rng)
    return whole_caption(labels, base, vocabulary.themes[contents.theme].title, rng)


def _things(count: int, rng: np.random.Generator) -> tuple[Theme, list[str]]:
    """A theme and `count` different labels, some of them perhaps foreign to it."""
    vocabulary = load_vocabulary()
    if rng.random() < _SHAPES_PART:
        theme = vocabulary.themes["shapes"]
    else:
        theme = [each for each in vocabulary.themes.values() if each.concepts][rng.integers(len(vocabulary.themes) - 1)]
    own = sorted(_of_theme(theme))
    mixed = bool(theme.concepts) and rng.random() < _MIXED_PART
    chosen: list[str] = []
    while len(chosen) < count:
        left = [label for label in own if label not in chosen]
        pool = left if left and not (mixed and rng.random() < 0.5) else _anything(rng)
        label = str(rng.choice(pool))
        if label not in chosen:
            chosen.append(label)
    return theme, chosen


def _of_theme(theme: Theme) -> frozenset[str]:
    """The labels of set A that belong to a theme; shapes belong to the theme without concepts."""
    if theme.concepts:
        return set_a() & frozenset(theme.concepts)
    return set_a() - frozenset(load_vocabulary().concepts)


def _anything(rng: np.random.Generator) -> list[str]:
    concepts = frozenset(load_vocabulary().concepts)
    return sorted(set_a() - concepts if rng.random() < _STRAY_SHAPE else set_a() & concepts)


def _side(label: str, layers: int, canvas: Size, rng: np.random.Generator) -> int:
    """The sprite's longer side in pixels: large enough to be recognised, loosely by the thing's own size."""
    vocabulary = load_vocabulary()
    typical = vocabulary.concepts[label].size if label in vocabulary.concepts else 0.28
    part = (0.27 + 0.5 * typical) * float(rng.uniform(0.85, 1.3)) * (4 / (2 + layers)) ** 0.35
    return round(min(canvas) * float(np.clip(part, *_LONGER_SIDE)))


def _placed(label: str, side: int, canvas: Size, others: list[Box], rng: np.random.Generator) -> Layer | None:
    """The sprite where it hides little of the others, or None when no such place was found."""
    for allowed in (0.08, 0.25):
        for _ in range(20):
            layer = _anywhere(label, side, canvas, rng)
            if all(_overlap(layer.box, other) <= allowed for other in others):
                return layer
    return None


def _anywhere(label: str, side: int, canvas: Size, rng: np.random.Generator) -> Layer:
    pixels = _sprite(label, side)
    height, width = pixels.shape[:2]
    reach = 0.3 if rng.random() < _OVERFLOW_PART else 0.0
    x = int(rng.integers(-round(reach * width), max(1, canvas[0] - width + round(reach * width) + 1)))
    y = int(rng.integers(-round(reach * height), max(1, canvas[1] - height + round(reach * height) + 1)))
    return Layer(pixels, Box(x, y, x + width, y + height))


def _overlap(one: Box, other: Box) -> float:
    """The common area as a part of the smaller box."""
    common = one.intersection(other)
    return common.area / min(one.area, other.area) if common else 0.0


@functools.lru_cache(maxsize=8192)
def _sprite(label: str, side: int) -> UInt8Array:
    style = load_vocabulary().default_style
    return trim(np.asarray(place(label, style, 1.0, (0.0, 0.0), side)), _TINIEST_ALPHA)
