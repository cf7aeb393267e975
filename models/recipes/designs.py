"""Whole designs to learn from: a few sprites on a scene, with the true caption and hard negatives."""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.recipes.captions import scene_caption, whole_caption
from models.recipes.scenes import paint, soften
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary

_SPRITE_SIDE = 64


@dataclass(frozen=True)
class Design:
    """`rgb` uint8 [height, width, 3]; `swapped` is the caption with one thing or the scene exchanged."""

    rgb: npt.NDArray[np.uint8]
    caption: str
    swapped: str
    labels: tuple[str, ...]


def draw_design(size: tuple[int, int], rng: np.random.Generator) -> Design:
    """A random design at `size` (width, height): 1–6 sprites, large ones first, at most slightly overlapping."""
    vocabulary = load_vocabulary()
    theme = list(vocabulary.themes.values())[rng.integers(len(vocabulary.themes))]
    scene = list(vocabulary.scenes.values())[rng.integers(len(vocabulary.scenes))]
    color = str(rng.choice(list(vocabulary.colors))) if scene.takes_color else None
    style = vocabulary.default_style if rng.random() < 0.5 else str(rng.choice(vocabulary.styles))
    picture = Image.fromarray(soften(paint(scene.name, color, size, rng), style, rng)).convert("RGBA")
    wanted = int(rng.integers(1, 7))
    pool = list(theme.concepts) if theme.concepts and rng.random() < 0.4 else list(vocabulary.labels[:144])
    if not theme.concepts or rng.random() < 0.15:
        pool = list(vocabulary.labels[len(vocabulary.concepts) :])
    labels = [str(rng.choice(pool)) for _ in range(wanted)]
    if wanted > 2 and rng.random() < 0.3:
        labels[1] = labels[0]
    shown: list[str] = []
    taken: list[tuple[int, int, int, int]] = []
    for label in labels:
        typical = vocabulary.concepts[label].size if label in vocabulary.concepts else 0.25
        side = round(min(size) * typical * float(rng.uniform(0.8, 1.5)) / wanted**0.15)
        corner = _free_corner(size, side, taken, rng)
        if corner is None:
            continue
        taken.append((*corner, corner[0] + side, corner[1] + side))
        sprite = _styled(label, style).resize((side, side), Image.Resampling.BILINEAR)
        picture.alpha_composite(sprite, (max(0, corner[0]), max(0, corner[1])))
        shown.append(label)
    base = scene_caption(scene, color, rng)
    caption = whole_caption(shown, base, theme.title, rng)
    # The negative differs from the true caption in exactly one thing.
    index = int(rng.integers(len(shown)))
    others = [other for other in pool if other not in shown] or [vocabulary.labels[0]]
    changed = [str(rng.choice(others)) if label == shown[index] else label for label in shown]
    swapped = whole_caption(changed, base, theme.title, rng)
    return Design(np.asarray(picture.convert("RGB")), caption, swapped, tuple(shown))


def _free_corner(
    size: tuple[int, int], side: int, taken: list[tuple[int, int, int, int]], rng: np.random.Generator
) -> tuple[int, int] | None:
    for _ in range(30):
        x = int(rng.integers(0, max(1, size[0] - side + 1)))
        y = int(rng.integers(0, max(1, size[1] - side + 1)))
        overlaps = (
            max(0, min(x + side, x1) - max(x, x0)) * max(0, min(y + side, y1) - max(y, y0)) for x0, y0, x1, y1 in taken
        )
        if all(overlap <= 0.12 * side * side for overlap in overlaps):
            return x, y
    return None


@functools.cache
def _styled(label: str, style: str) -> Image.Image:
    return place(label, style, 0.9, (0.0, 0.0), _SPRITE_SIDE)
