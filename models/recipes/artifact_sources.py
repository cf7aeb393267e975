"""Sound layers and whole images from everywhere: sprites exact, matted, drawn and lit, made-up things, texts, designs.

Each function gives one sample, or a row of them, from a random generator alone.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from filters.alpha import alpha_scores
from filters.clip import ClipConfig, shared_clip
from filters.clip_alignment import CLIP_MARGIN, layer_alignment
from filters.config import FiltersConfig
from layered.arrays import Color, FloatArray, Size, UInt8Array
from layered.pixels import premultiply, resize, resize_rgb, round_to_uint8, unpremultiply
from models.recipes import matting_objects as objects
from models.recipes import matting_wisps as wisps
from models.recipes.artifact_cutouts import cut_out, landscape
from models.recipes.artifact_photos import as_photographed, figure, photo_sprite, room
from models.recipes.clipart import clip_art
from models.recipes.corruptions import Sample
from models.recipes.designs import draw_design
from models.recipes.matting_textures import random_color
from models.recipes.sprites import BACKGROUND, on_gray, place
from models.vocabulary import Vocabulary, load_vocabulary
from stages.generator import Generator, load_generator
from stages.layer_flux import LayerFluxConfig, resolve_defaults
from stages.matting import Matter, MattingConfig, matter_of
from stages.text_layer import TextConfig, draw_text

SIDE: Final = 128
_SIDES: Final = (128, 192)  # divisors or equals of the side at which sprites are styled
_PHOTO_SIDE: Final = 192
_WHOLES: Final = ((192, 192), (224, 144), (144, 224))
SHAPE_SHARE: Final = 0.15
DEFAULT_STYLE_SHARE: Final = 0.5
_BATCH: Final = 12
_PLAIN: Final = 0.55  # alpha that a twentieth of a see-through thing reaches
_LUMINANCE: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
_SURE: Final = 0.46  # cosine with the best of all concepts that nearly all good drawings reach
_LETTERS: Final = 0.09  # of the longer side: the height of letters whose form can be told in the view
_READABLE: Final = 0.25  # difference of luminance that letters have to the board they stand on

_FONTS: Final = ("DejaVu Sans", "DejaVu Sans:bold", "DejaVu Sans:italic", "DejaVu Serif", "DejaVu Serif:bold italic",
                 "DejaVu Sans Mono", "STIXGeneral", "STIXGeneral:bold", "cmr10", "cmss10")  # fmt: skip


def random_content(vocabulary: Vocabulary, rng: np.random.Generator) -> tuple[str, str]:
    """A label and a style as runs ask for them: mostly concepts, half of them in the default style."""
    shapes = rng.random() < SHAPE_SHARE
    first, last = (len(vocabulary.concepts), len(vocabulary.labels)) if shapes else (0, len(vocabulary.concepts))
    style = vocabulary.default_style
    if rng.random() >= DEFAULT_STYLE_SHARE:
        style = vocabulary.styles[rng.integers(len(vocabulary.styles))]
    return vocabulary.labels[rng.integers(first, last)], style


def sprite(rng: np.random.Generator, side: int | None = None) -> Sample:
    """An exact sprite somewhere in its frame, on the flat gray with a little noise."""
    vocabulary = load_vocabulary()
    label, style = random_content(vocabulary, rng)
    fill = float(rng.uniform(0.55, 0.9))
    reach = (1 - fill) / 2 * 0.6
    shift = float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach))
    image = place(label, style, fill, shift, side or int(rng.choice(_SIDES)))
    raw = _noisy(on_gray(image), rng)
    return Sample("sprite", np.array(image), raw, label=label, style=style, caption=vocabulary.label_caption(label))


def matted(rng: np.random.Generator) -> Sample:
    """A sprite as small as a small generator draws it, with noise, freed from its background by the keyer."""
    return _matted(sprite(rng, int(rng.choice([96, 128]))), "matted", "keyer")


def network(rng: np.random.Generator) -> Sample:
    """The same by the matting network, and half the time a made-up thing."""
    exact = sprite(rng, int(rng.choice([96, 128])))
    while rng.random() < 0.5 or exact.raw is None:
        exact = thing(rng)
    return _matted(exact, "network", "layerprism")


def drawn(count: int, seed: int, source: str) -> Iterator[Sample]:
    """What the embedded model draws and the source's back end mattes, where nothing can be measured to be wrong.

    Fewer than `count`: what CLIP takes for something else, or an alpha check flags, is left out.
    """
    generator, rng = _generator(), np.random.default_rng(seed)
    vocabulary = load_vocabulary()
    thresholds = FiltersConfig().thresholds()
    clip = shared_clip(ClipConfig())
    contents = [random_content(vocabulary, rng) for _ in range(count)]
    prompts = [_prompt(vocabulary, vocabulary.label_caption(label), style) for label, style in contents]
    for (label, style), sample in zip(contents, _drawn(generator, prompts, rng, DRAWN_BY_BACKEND[source]), strict=True):
        caption = vocabulary.label_caption(label)
        scores = alpha_scores(sample.rgba, sample.raw)
        margin = layer_alignment(sample.rgba, caption, clip)[CLIP_MARGIN]
        if margin > 0 and all(score >= thresholds[name] for name, score in scores.items()):
            yield dataclasses.replace(sample, source=source, label=label, style=style, caption=caption)


def failures(count: int, seed: int) -> Iterator[Sample]:
    """The embedded model's own failures: too few steps, no guidance.

    Left out is what CLIP still takes for the thing that was asked for, or is sure of to be another one.
    """
    generator, rng = _generator(), np.random.default_rng(seed)
    vocabulary, clip = load_vocabulary(), shared_clip(ClipConfig())
    for start in range(0, count, _BATCH):
        contents = [random_content(vocabulary, rng) for _ in range(min(_BATCH, count - start))]
        captions = [vocabulary.label_caption(label) for label, _ in contents]
        changed: dict[str, float] = {"steps": int(rng.integers(3, 6)), "true_cfg_scale": 1.0}
        if rng.random() < 0.6:
            changed = {"steps": int(rng.integers(1, 3)), "true_cfg_scale": float(rng.uniform(1.0, 2.5))}
        prompts = [_prompt(vocabulary, caption, style) for caption, (_, style) in zip(captions, contents, strict=True)]
        failing = copy.copy(generator)
        failing.settings = generator.settings.model_copy(update=changed)
        for caption, sample in zip(captions, _drawn(failing, prompts, rng, "keyer"), strict=True):
            certainty = float((clip.negatives @ clip.embed_layer(sample.rgba)).max())
            if certainty < _SURE and layer_alignment(sample.rgba, caption, clip)[CLIP_MARGIN] < 0:
                yield sample


def thing(rng: np.random.Generator) -> Sample:
    """A made-up solid or hairy thing with photo-like surfaces, and sometimes a shadow, a reflection or a glow."""
    side = int(rng.choice(_SIDES))
    layer = objects.solid(side, rng) if rng.random() < 0.75 else wisps.hairy(side, rng)
    return _framed("object", _in_its_place(layer, rng), rng)


def photo(rng: np.random.Generator) -> Sample:
    """A sprite with the light, relief and surface of a photograph, and sometimes a shadow, a reflection or a glow."""
    return _framed("photo", _in_its_place(photo_sprite(_PHOTO_SIDE, rng), rng), rng)


def made_up(rng: np.random.Generator) -> Sample:
    """The same of a made-up creature, vessel or piece of furniture."""
    return _framed("figure", _in_its_place(figure(_PHOTO_SIDE, rng), rng), rng)


def cut(rng: np.random.Generator) -> Sample:
    """The same of a thing with the surface of a real photograph, or of many parts."""
    return _framed("cutout", _in_its_place(cut_out(_PHOTO_SIDE, rng), rng), rng)


def clipart(rng: np.random.Generator) -> Sample:
    """Clip art, half of it as if photographed: no concept of the vocabulary, but a thing of many parts."""
    layer = clip_art(_PHOTO_SIDE, rng)
    layer = as_photographed(layer, rng) if rng.random() < 0.5 else layer
    return _framed("clipart", _in_its_place(layer, rng), rng)


def wisp(rng: np.random.Generator) -> Sample:
    """Smoke, fire, light, glass, a veil or something thin: what is see-through or in pieces by nature."""
    kinds = (wisps.smoke, wisps.fire, wisps.light, wisps.glass, wisps.glass, wisps.veil, wisps.burning,
             objects.thin_structure)  # fmt: skip
    while True:
        layer = kinds[rng.integers(len(kinds))](int(rng.choice(_SIDES)), rng)
        shown = layer[..., 3][layer[..., 3] > 0.05]
        # What can hardly be seen is empty.
        if shown.size and np.quantile(shown, 0.95) > _PLAIN:
            return _framed("wisp", layer, rng)


def text(rng: np.random.Generator) -> Sample:
    """Words in a font of those that are always there, alone or on a board, large enough to be read in the view."""
    while True:
        sample = _text(rng)
        assert sample.ink is not None
        rows = np.flatnonzero(sample.ink.max(axis=1) > 0.25)
        lines = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        shown = np.argwhere(sample.rgba[..., 3] > 0)
        if max(map(len, lines)) >= _LETTERS * np.ptp(shown, axis=0).max():
            return sample


def _text(rng: np.random.Generator) -> Sample:
    side = 192
    words = " ".join(rng.choice(_words(), int(rng.integers(1, 5))))
    written = (words, words.upper(), words.title())[rng.integers(3)]
    if rng.random() < 0.15:
        written = f"{int(rng.integers(2, 100))} %" if rng.random() < 0.5 else f"{written} {int(rng.integers(1, 2030))}"
    size = int(rng.uniform(0.6, 0.96) * side), int(rng.uniform(0.25, 0.9) * side)
    font = _FONTS[rng.integers(len(_FONTS))]
    glyphs = draw_text(written, font, "#000000", size, TextConfig())
    ink = np.zeros((side, side), np.float32)
    top, left = (side - glyphs.shape[0]) // 2, (side - glyphs.shape[1]) // 2
    ink[top : top + glyphs.shape[0], left : left + glyphs.shape[1]] = glyphs[..., 3].astype(np.float32) / 255
    color = random_color(rng)
    layer = objects.layer_of(ink, color)
    if rng.random() < 0.4:
        board = np.zeros((side, side), np.float32)
        margin = int(rng.integers(2, 12))
        board[max(0, top - margin) : top + glyphs.shape[0] + margin,
              max(0, left - margin) : left + glyphs.shape[1] + margin] = 1  # fmt: skip
        ground = random_color(rng)
        while abs(float(_LUMINANCE @ (ground - color))) < _READABLE:
            ground = rng.uniform(0, 1, 3).astype(np.float32)
        layer = objects.over(layer, objects.layer_of(board, ground))
    return Sample("text", unpremultiply(layer), ink=ink, ink_color=color, caption=written)


def whole(rng: np.random.Generator) -> Sample:
    """A whole design, or things in a photo-like room or landscape with straight lines in it."""
    size = _WHOLES[rng.integers(len(_WHOLES))]
    if rng.random() < 0.55:
        return Sample("whole", _opaque(draw_design(size, rng).rgb))
    return Sample("whole", _opaque(_peopled(room(max(size), rng), (photo, made_up, thing, wisp), size, rng)))


def photographed(rng: np.random.Generator) -> Sample:
    """A photograph, mostly with things in it that are photo-like or cut out of others."""
    size = _WHOLES[rng.integers(len(_WHOLES))]
    return Sample("landscape", _opaque(_peopled(landscape(max(size), rng), (cut, cut, photo, wisp), size, rng)))


def _peopled(
    ground: FloatArray, makers: Sequence[Callable[[np.random.Generator], Sample]], size: Size, rng: np.random.Generator
) -> UInt8Array:
    """Up to four things on a ground ``[side, side, 3]`` in 0…1, cut to a size."""
    side = ground.shape[0]
    layers = [objects.layer_of(np.ones((side, side), np.float32), ground)]
    for _ in range(int(rng.integers(1, 5))):
        part = makers[rng.choice(4, p=(0.35, 0.3, 0.2, 0.15))](rng).rgba
        small = int(side * rng.uniform(0.25, 0.7))
        canvas = np.zeros((side, side, 4), np.float32)
        y, x = rng.integers(0, side - small + 1, 2).tolist()
        canvas[y : y + small, x : x + small] = premultiply(resize(part, (small, small)))
        layers.append(objects.over(canvas, layers[-1]))
    return round_to_uint8(layers[-1][: size[1], : size[0], :3])


SOURCES: Final[dict[str, Callable[[np.random.Generator], Sample]]] = {
    "sprite": sprite, "matted": matted, "object": thing, "wisp": wisp, "text": text, "whole": whole,
    "network": network, "photo": photo, "figure": made_up, "cutout": cut, "landscape": photographed, "clipart": clipart,
}  # fmt: skip
"""Those that give one sample at a time; `drawn` and `failures` come in rows."""

DRAWN_BY_BACKEND: Final = {"drawn": "keyer", "drawn_network": "layerprism"}
"""The sources of what the embedded model draws, each with the back end that mattes it."""


def _in_its_place(layer: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One in three with a shadow, a reflection or a glow."""
    chance = rng.random()
    if chance < 0.2:
        return wisps.with_shadow(layer, rng).astype(np.float32)
    if chance < 0.27:
        return wisps.reflected(layer, rng).astype(np.float32)
    return (wisps.glowing(layer, rng) if chance < 0.32 else layer).astype(np.float32)


@functools.cache
def _matter(backend: str) -> Matter:
    matter = matter_of(MattingConfig(backend=backend))
    matter.setup()
    return matter


@functools.cache
def _generator() -> Generator:
    return load_generator(resolve_defaults(LayerFluxConfig()))


@functools.cache
def _words() -> Sequence[str]:
    vocabulary = load_vocabulary()
    concepts = [word for name in vocabulary.concepts for word in name.split()]
    titles = [word for theme in vocabulary.themes.values() for word in theme.title.split()]
    return tuple(sorted({word for word in concepts + titles if word.isascii() and word.isalpha()}))


def _prompt(vocabulary: Vocabulary, caption: str, style: str) -> str:
    return vocabulary.templates.prompt.format(caption=caption, style=style, suffix=vocabulary.suffixes[0])


def _drawn(generator: Generator, prompts: Sequence[str], rng: np.random.Generator, backend: str) -> Iterator[Sample]:
    size = generator.settings.layer_sizes[0]
    for start in range(0, len(prompts), _BATCH):
        requests = [(prompt, int(rng.integers(2**31))) for prompt in prompts[start : start + _BATCH]]
        for rgb in generator.draw(requests, size):
            rgba, background = _matter(backend).matte(rgb)
            yield _at_side(Sample("drawn", rgba, rgb, background), SIDE)


def _matted(exact: Sample, source: str, backend: str) -> Sample:
    assert exact.raw is not None
    rgba, background = _matter(backend).matte(exact.raw)
    return _at_side(dataclasses.replace(exact, source=source, rgba=rgba, background=background), SIDE)


def _at_side(sample: Sample, side: int) -> Sample:
    assert sample.raw is not None
    size = side, side
    return dataclasses.replace(sample, rgba=resize(sample.rgba, size), raw=resize_rgb(sample.raw, size))


def _framed(source: str, layer: FloatArray, rng: np.random.Generator) -> Sample:
    """A premultiplied layer, trimmed, somewhere within a frame of a flat colour, mostly gray."""
    side = layer.shape[0]
    shown = np.argwhere(layer[..., 3] > 0.05)
    if len(shown) < 0.01 * side * side:
        return _framed(source, objects.solid(side, rng), rng)
    (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0) + 1
    trimmed = unpremultiply(np.ascontiguousarray(layer[top:bottom, left:right]))
    scale = side * rng.uniform(0.55, 0.92) / max(trimmed.shape[:2])
    width, height = max(4, round(trimmed.shape[1] * scale)), max(4, round(trimmed.shape[0] * scale))
    rgba = np.zeros((side, side, 4), np.uint8)
    y, x = int(rng.integers(2, max(3, side - height - 1))), int(rng.integers(2, max(3, side - width - 1)))
    rgba[y : y + height, x : x + width] = resize(trimmed, (width, height))
    if rng.random() < 0.3:
        return Sample(source, rgba)
    flat: Color = BACKGROUND
    if rng.random() < 0.3:
        red, green, blue = rng.integers(0, 256, 3).tolist()
        flat = red, green, blue
    premultiplied = premultiply(rgba)
    raw = premultiplied[..., :3] + (1 - premultiplied[..., 3:]) * (np.array(flat, np.float32) / np.float32(255))
    return Sample(source, rgba, _noisy(round_to_uint8(raw), rng), flat)


def _noisy(rgb: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A generator's or a file's slight noise, up to 3 of 255."""
    noise = rng.normal(0, rng.uniform(0, 3 / 255), rgb.shape).astype(np.float32)
    return round_to_uint8(rgb.astype(np.float32) / np.float32(255) + noise)


def _opaque(rgb: UInt8Array) -> UInt8Array:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
