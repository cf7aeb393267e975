"""The designer: composes any number of briefs from the vocabulary, each from the run's seed and its own index alone.

The numbers of layers and of text layers follow PrismLayersPro (arXiv 2505.22523), within the configured limits.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from layered.arrays import Color, Size
from layered.box import Box
from layered.brief import Brief, BriefLayer
from layered.errors import UserError
from layered.seeds import derive_seed
from models.vocabulary import Scene, Theme, Vocabulary, load_vocabulary
from pipeline.captions import Thing, joined, list_things
from pipeline.layouts import (
    GROUND,
    WATER,
    Item,
    Zone,
    in_grid,
    in_ring,
    painters_order,
    pushed_over_edge,
    scattered,
)
from pipeline.plan_config import DesignerConfig

LAYERS_OF_PRO: Mapping[tuple[int, int], float] = {
    (1, 2): 9.5,
    (3, 5): 15.7,
    (6, 8): 33.5,
    (9, 11): 23.1,
    (12, 14): 10.8,
    (15, 19): 5.3,
    (20, 25): 2.1,
}
"""PrismLayersPro's layers per image: per cent by (first, last). The last is open in the source; 25 is our choice."""

TEXT_LAYERS_OF_PRO = (1.6, 15.4, 29.6, 23.1, 13.7, 7.7, 4.2, 2.2, 1.2, 0.7)
"""PrismLayersPro's text layers per image: per cent of 0…9; its 0.7 % above nine are left out."""

OVERFLOWING = 0.25
"""Chance that one layer of a design reaches over the side of the canvas."""

FLIES = frozenset({"sun", "moon", "cloud", "rainbow", "snowflake", "lightning", "butterfly", "bee", "bat"}) | frozenset(
    {"airplane", "helicopter", "rocket", "ufo", "balloon"}
)
"""What belongs into the sky, where a scene has one."""

SWIMS = frozenset({"whale", "shark", "ship", "sailboat", "duck"})
"""What belongs on the water, where a scene has some."""

_ONLY_ONE = frozenset({"sun", "moon", "rainbow"})
_FLAT_SCENES = frozenset({"paper", "gradient", "stripes", "dots"})
_RING_SCENES = _FLAT_SCENES | {"night"}
_TRUE_COLORS = frozenset({"cartoon", "outline", "pixel", "flat"})
"""Styles that leave things in their own colours, so that a caption may name them."""

_DARK_SCENES = frozenset({"night", "underwater", "sunset", "forest"})
_INK, _CHALK = ("#1d2333", "#7a1f3d", "#123a5e", "#3b2a1a"), ("#ffffff", "#fff3c4", "#ffe8f0", "#e6f6ff")


class DesignedBriefs(Sequence[Brief]):
    """The first `count` briefs of the designer, each composed when it is asked for."""

    def __init__(self, config: DesignerConfig, seed: int, count: int) -> None:
        self._config, self._seed, self._length = config, seed, count

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Brief: ...
    @overload
    def __getitem__(self, index: slice) -> list[Brief]: ...
    def __getitem__(self, index: int | slice) -> Brief | list[Brief]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(f"there are {self._length} designed briefs, so there is no number {index}")
        return design_brief(self._config, self._seed, index % self._length)


def design_briefs(config: DesignerConfig, seed: int, count: int) -> DesignedBriefs:
    """The first `count` briefs; brief *i* is the same at any count.

    Raises:
        UserError: when the configuration names a theme or style that the vocabulary lacks.
    """
    vocabulary = load_vocabulary()
    for kind, names, known in (
        ("themes", config.themes, tuple(vocabulary.themes)),
        ("styles", config.styles, vocabulary.styles),
    ):
        if unknown := [name for name in names if name not in known]:
            raise UserError(f"plan.designer.{kind}: there is no {unknown[0]!r}; known are {', '.join(known)}")
    return DesignedBriefs(config, seed, count)


def design_brief(config: DesignerConfig, seed: int, index: int) -> Brief:
    """One brief, a function of its arguments alone."""
    rng = random.Random(derive_seed(seed, f"brief-{index}", -1, 0, "design"))
    setting = _setting(config, rng)
    layers, texts = _counts(config, rng)
    things = _things(setting, layers - texts, rng)
    ring = setting.scene.name in _RING_SCENES and len(things) >= 5 and rng.random() < 0.3
    text_layers = _text_layers(setting, things, texts, ring, config.fonts, rng)
    reserved = [layer.placed_box() for layer in text_layers]
    lone = {1: 1.8, 2: 1.5, 3: 1.25}.get(len(things), 1.0)  # few things may be large
    items = [Item(lone * _side(thing, setting, rng), _zone(thing, setting.scene)) for thing in things]
    boxes = _boxes(items, setting, reserved, ring, rng)
    image_layers = [
        BriefLayer(kind="image", caption=things[i].caption(setting.vocabulary), box=boxes[i].as_tuple())
        for i in painters_order(boxes, items)
    ]
    return Brief(
        id=f"designed-{index:07d}",
        canvas=setting.canvas,
        style=setting.style,
        whole_caption=_whole_caption(setting, sorted(things), text_layers, rng),
        base_caption=setting.base_caption,
        layers=(*image_layers, *text_layers),
    )


@dataclass(frozen=True)
class _Setting:
    """What a design is about, before anything stands in it; `color` is the scene's, where it takes one."""

    vocabulary: Vocabulary
    theme: Theme
    scene: Scene
    color: str | None
    style: str
    canvas: Size

    @property
    def base_caption(self) -> str:
        return self.scene.caption(self.color)

    @property
    def dark(self) -> bool:
        """Whether text on it should be light."""
        if self.style in ("neon", "sketch"):
            return self.style == "neon"
        if self.color is None:
            return self.scene.name in _DARK_SCENES
        limit = {"room": 70, "stripes": 0}.get(self.scene.name, 120)
        return _luminance(self.vocabulary.colors[self.color]) < limit


def _setting(config: DesignerConfig, rng: random.Random) -> _Setting:
    vocabulary = load_vocabulary()
    theme = vocabulary.themes[rng.choice(config.themes or tuple(vocabulary.themes))]
    scene = vocabulary.scenes[rng.choice(theme.scenes)]
    color = rng.choice(tuple(vocabulary.colors)) if scene.takes_color else None
    style = _style(config, vocabulary, rng)
    return _Setting(vocabulary, theme, scene, color, style, rng.choice(config.canvases))


def layer_count_shares(lowest: int, highest: int) -> dict[int, float]:
    """PrismLayersPro's share of each number of layers within limits, summing to 1; even inside its published bins."""
    weights = {
        count: share / (last - first + 1)
        for (first, last), share in LAYERS_OF_PRO.items()
        for count in range(first, last + 1)
        if lowest <= count <= highest
    }
    if not weights:
        return {lowest: 1.0}
    total = sum(weights.values())
    return {count: weight / total for count, weight in weights.items()}


def _counts(config: DesignerConfig, rng: random.Random) -> tuple[int, int]:
    """(all layers, text layers); at least one layer is an image."""
    shares = layer_count_shares(config.min_layers, config.max_layers)
    layers = rng.choices(list(shares), list(shares.values()))[0]
    most = min(config.max_text_layers, layers - 1, len(TEXT_LAYERS_OF_PRO) - 1, layers // 2 + 1)
    return layers, rng.choices(range(most + 1), TEXT_LAYERS_OF_PRO[: most + 1])[0]


def _style(config: DesignerConfig, vocabulary: Vocabulary, rng: random.Random) -> str:
    styles = config.styles or vocabulary.styles
    others = [style for style in styles if style != vocabulary.default_style]
    if vocabulary.default_style in styles and (not others or rng.random() < config.default_style_share):
        return vocabulary.default_style
    return rng.choice(others)


def _things(setting: _Setting, count: int, rng: random.Random) -> list[Thing]:
    """What a design shows: mostly different things, some two or three times; shapes never in the scene's own colour."""
    vocabulary = setting.vocabulary
    labels = list(setting.theme.concepts)
    if not labels:
        colors = [color for color in vocabulary.colors if color not in (setting.color, "white")]
        labels = [f"{color} {shape}" for color in colors for shape in vocabulary.shapes]
    things: list[Thing] = []
    while len(things) < count:
        shown = {thing.label for thing in things}
        fresh = [label for label in labels if label not in shown]
        label = rng.choice(fresh or labels)
        concept = vocabulary.concepts.get(label)
        sayable = concept.colors if concept and setting.style in _TRUE_COLORS else ()
        color = rng.choice(sayable) if sayable and rng.random() < 0.5 else ""
        once = concept is not None and (concept.article == "some" or label in _ONLY_ONE)
        often = 1 if once else rng.choices((1, 2, 3), (0.75, 0.17, 0.08))[0]
        things += [Thing(label, color)] * min(often, count - len(things))
    return things


def _side(thing: Thing, setting: _Setting, rng: random.Random) -> float:
    concept = setting.vocabulary.concepts.get(thing.label)
    part = concept.size if concept else rng.uniform(0.14, 0.3)
    return part * min(setting.canvas) * rng.uniform(0.9, 1.15)


def _zone(thing: Thing, scene: Scene) -> Zone:
    if thing.label in SWIMS and scene.name in WATER:
        return "water"
    if scene.name not in GROUND:
        return "free"
    return "sky" if thing.label in FLIES else "ground"


def _boxes(
    items: Sequence[Item], setting: _Setting, reserved: Sequence[Box], ring: bool, rng: random.Random
) -> list[Box]:
    if ring:
        return in_ring(items, setting.canvas, reserved, rng)
    if setting.scene.name in _FLAT_SCENES and rng.random() < 0.6:
        return in_grid(items, setting.canvas, reserved, rng)
    boxes = scattered(items, setting.scene.name, setting.canvas, reserved, rng)
    if rng.random() < OVERFLOWING:
        middle = setting.canvas[0] / 2
        chosen = max(range(len(boxes)), key=lambda index: abs(boxes[index].center[0] - middle))
        boxes[chosen] = pushed_over_edge(boxes[chosen], setting.canvas, rng)
    return boxes


def _text_layers(
    setting: _Setting, things: Sequence[Thing], count: int, in_middle: bool, fonts: Sequence[str], rng: random.Random
) -> list[BriefLayer]:
    """A title and smaller lines below it at the top of the canvas; in a ring they stand in its middle."""
    theme, (width, height) = setting.theme, setting.canvas
    counted = [thing.counted(number, setting.vocabulary) for thing, number in Counter(things).items()]
    wordings = [theme.name.title(), theme.title, *counted]
    lines = [wordings[index % len(wordings)] for index in range(count)]
    font, color = rng.choice(fonts), rng.choice(_CHALK if setting.dark else _INK)
    small = min(0.06, 0.24 / max(1, count - 1))
    line_heights = [(0.11 if index == 0 else small) * height for index in range(count)]
    widest = (0.44 if in_middle else 0.92) * width
    y = (height - sum(line_heights)) / 2 if in_middle else 0.04 * height
    layers = []
    for index, (line, line_height) in enumerate(zip(lines, line_heights, strict=True)):
        wide = min(widest, max(0.2 * width, 0.72 * line_height * len(line)))
        box = Box(round((width - wide) / 2), round(y), round((width + wide) / 2), round(y + 0.9 * line_height))
        y += line_height
        layers.append(
            BriefLayer(
                kind="text",
                caption=f'a {"title" if index == 0 else "label"} that says "{line}"',
                box=box.as_tuple(),
                text=line,
                font=font,
                color=color,
            )
        )
    return layers


def _whole_caption(setting: _Setting, things: Sequence[Thing], texts: Sequence[BriefLayer], rng: random.Random) -> str:
    template = rng.choice(setting.vocabulary.templates.whole)
    if "{base}" not in template:
        template += " on {base}"
    listed = list_things(things, setting.vocabulary)
    caption = template.format(things=listed, base=setting.base_caption, title=setting.theme.title)
    if texts:
        caption = f"{caption}, with {joined([text.caption or '' for text in texts])}"
    return caption


def _luminance(color: Color) -> float:
    """Relative luminance of an sRGB colour, Rec. 709 weights on the coded values, 0…255."""
    return 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2]
