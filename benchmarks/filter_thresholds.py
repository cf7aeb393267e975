"""How the filters' default thresholds do: false alarms on exact sprites, detection of controlled corruptions.

Sound layers are the sprites that the embedded model learns from, exact in colour and alpha, in all concepts, shapes and
styles. Each is then broken in every way that a filter is to find, one way at a time, and its caption is swapped with
another's. Wanted: at most 5 % of sound layers flagged by all scores together, at least 80 % of each corruption flagged.
With `--drawn` the layers that the embedded model draws and the keyer mattes are scored as well.

    python -m benchmarks.filter_thresholds [--layers 400] [--drawn 0] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from benchmarks.machine import machine
from filters.alpha import alpha_scores
from filters.clip import ClipConfig, ClipEncoder
from filters.clip_alignment import layer_alignment
from filters.config import FiltersConfig
from layered.arrays import UInt8Array
from layered.pixels import clear_hidden
from models.recipes.sprites import BACKGROUND, on_gray, place
from models.vocabulary import Vocabulary, load_vocabulary
from stages.layer_flux import LayerFlux, LayerFluxConfig, resolve_defaults
from stages.matting import MattingConfig, matter_of
from stages.records import Draw, Drawn

Alpha = NDArray[np.floating]
Mask = NDArray[np.bool_]

SIDE = 128
SHAPE_SHARE = 0.15
DEFAULT_STYLE_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class TestLayer:
    """A layer as the filters meet it: pixels, the drawing they were cut from, and what it should show."""

    label: str
    style: str
    caption: str
    rgba: UInt8Array
    raw: UInt8Array


def sound_layers(count: int, vocabulary: Vocabulary, seed: int) -> Iterator[TestLayer]:
    """Exact sprites at random sizes and places inside their frame."""
    rng = np.random.default_rng(seed)
    for label, style in random_contents(count, vocabulary, rng):
        fill = float(rng.uniform(0.55, 0.9))
        reach = (1 - fill) / 2 * 0.6
        image = place(label, style, fill, (float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach))), SIDE)
        yield TestLayer(label, style, vocabulary.label_caption(label), np.array(image), on_gray(image))


def random_contents(count: int, vocabulary: Vocabulary, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Labels and styles as a run asks for them: mostly concepts, half of them in the default style."""
    concepts = list(vocabulary.concepts)
    shapes = [label for label in vocabulary.labels if label not in vocabulary.concepts]
    for _ in range(count):
        labels = shapes if rng.random() < SHAPE_SHARE else concepts
        style = vocabulary.default_style
        if rng.random() >= DEFAULT_STYLE_SHARE:
            style = vocabulary.styles[rng.integers(len(vocabulary.styles))]
        yield labels[rng.integers(len(labels))], style


Corruption = Callable[[TestLayer, np.random.Generator], TestLayer]


def emptied(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """Nearly nothing is left: a tenth of the alpha."""
    return _with_alpha(layer, layer.rgba[..., 3] * 0.1)


def rectangle(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """The matte kept the whole frame."""
    return _with_alpha(layer, np.full(layer.rgba.shape[:2], 255.0))


def cut(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """A third to a half of the object lies outside the frame."""
    rows, columns = np.nonzero(layer.rgba[..., 3] > 127)
    axis = int(rng.integers(2))
    places = (rows, columns)[axis]
    inside = int(np.quantile(places, rng.uniform(0.33, 0.5)))
    shift = -inside if rng.random() < 0.5 else layer.rgba.shape[axis] - inside
    return dataclasses.replace(
        layer,
        rgba=_shifted(layer.rgba, shift, axis, (0, 0, 0, 0)),
        raw=_shifted(layer.raw, shift, axis, BACKGROUND),
    )


def holes(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """Six to twelve holes, a twentieth of the object wide, in its inside."""
    alpha = layer.rgba[..., 3].astype(float)
    inside = ndimage.distance_transform_edt(alpha > 200) > SIDE / 32
    return _with_alpha(layer, np.where(_discs(inside, int(rng.integers(6, 13)), SIDE / 40, rng), 0, alpha))


def specks(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """Ten to thirty specks around the object."""
    alpha = layer.rgba[..., 3].astype(float)
    outside = ndimage.distance_transform_edt(alpha == 0) > 4
    dots = _discs(outside, int(rng.integers(10, 31)), 1.5, rng)
    return _with_alpha(layer, np.where(dots, 255, alpha))


def leftover(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """A piece of the background a tenth of the frame wide stays around the object, or a haze everywhere."""
    alpha = layer.rgba[..., 3].astype(float)
    if rng.random() < 0.5:
        return _with_alpha(layer, np.maximum(alpha, rng.uniform(0.2, 0.4) * 255))
    return _with_alpha(layer, _grown(alpha, SIDE // 10))


def halo(layer: TestLayer, rng: np.random.Generator) -> TestLayer:
    """An outline of background, three hundredths of the frame wide."""
    return _with_alpha(layer, _grown(layer.rgba[..., 3].astype(float), round(SIDE * 0.03)))


CORRUPTIONS: dict[str, Corruption] = {
    each.__name__: each for each in (emptied, rectangle, cut, holes, specks, leftover, halo)
}
SWAPPED = "swapped caption"


def drawn_layers(count: int, vocabulary: Vocabulary, seed: int) -> Iterator[TestLayer]:
    """What the embedded model draws, matted by the keyer."""
    config = LayerFluxConfig(batch_size=16)
    settings = resolve_defaults(config)
    stage, matter = LayerFlux(config), matter_of(MattingConfig())
    stage.setup()
    rng = np.random.default_rng(seed)
    contents = list(random_contents(count, vocabulary, rng))
    for start in range(0, count, config.batch_size):
        batch = contents[start : start + config.batch_size]
        draws = []
        for number, (label, style) in enumerate(batch, start=start):
            caption = vocabulary.label_caption(label)
            prompt = settings.prompt_template.format(caption=caption, style=style, suffix=settings.suffix)
            draws.append(Draw("drawn", number, 0, seed + number, prompt, caption, settings.layer_sizes[0]))
        for (label, style), drawn in zip(batch, stage.process(draws), strict=True):
            assert isinstance(drawn, Drawn)
            yield TestLayer(label, style, drawn.draw.caption, matter.matte(drawn.rgb)[0], drawn.rgb)


def flags(layer: TestLayer, caption: str, clip: ClipEncoder, thresholds: dict[str, float]) -> frozenset[str]:
    """The scores of a layer that lie below their thresholds."""
    scores = alpha_scores(layer.rgba, layer.raw) | layer_alignment(layer.rgba, caption, clip)
    return frozenset(name for name, score in scores.items() if score < thresholds.get(name, -np.inf))


@dataclass(frozen=True)
class Row:
    """One kind of layer: how many of them were flagged at all, and by which score, in 0…1."""

    kind: str
    layers: int
    flagged: float
    by_score: dict[str, float]


def measure(layers: int, drawn: int, config: FiltersConfig, seed: int = 0) -> list[Row]:
    """False alarms and detections at a configuration's thresholds."""
    vocabulary, clip, thresholds = load_vocabulary(), ClipEncoder(config.clip), config.thresholds()
    rng = np.random.default_rng(seed + 1)
    sound = list(sound_layers(layers, vocabulary, seed))
    found: dict[str, list[frozenset[str]]] = {"sound": [flags(each, each.caption, clip, thresholds) for each in sound]}
    for name, corrupt in CORRUPTIONS.items():
        found[name] = [flags(corrupt(each, rng), each.caption, clip, thresholds) for each in sound]
    found[SWAPPED] = [
        flags(each, caption, clip, thresholds) for each, caption in zip(sound, swapped_captions(sound), strict=True)
    ]
    if drawn:
        found["drawn"] = [flags(each, each.caption, clip, thresholds) for each in drawn_layers(drawn, vocabulary, seed)]
    return [_row(kind, each, thresholds) for kind, each in found.items()]


def swapped_captions(layers: Sequence[TestLayer]) -> Iterator[str]:
    """Each layer's caption replaced by that of the next layer that shows something else."""
    for index, layer in enumerate(layers):
        following = [*layers[index + 1 :], *layers[:index]]
        yield next(other.caption for other in following if other.label != layer.label)


def _row(kind: str, found: Sequence[frozenset[str]], thresholds: dict[str, float]) -> Row:
    by_score = {name: sum(name in each for each in found) / len(found) for name in thresholds}
    return Row(kind, len(found), sum(map(bool, found)) / len(found), by_score)


def _with_alpha(layer: TestLayer, alpha: Alpha) -> TestLayer:
    """The layer with another alpha; where that shows more, it shows the background."""
    rgba = np.dstack([layer.raw, np.rint(alpha).astype(np.uint8)])
    kept = layer.rgba[..., 3] >= rgba[..., 3]
    rgba[kept, :3] = layer.rgba[kept, :3]
    return dataclasses.replace(layer, rgba=clear_hidden(rgba))


def _grown(alpha: Alpha, by: int) -> Alpha:
    """Alpha spread outwards by so many pixels."""
    distance = ndimage.distance_transform_edt(alpha < 128)
    spread: Alpha = np.maximum(alpha, 255 * np.clip(by + 0.5 - distance, 0, 1))
    return spread


def _discs(where: Mask, count: int, radius: float, rng: np.random.Generator) -> Mask:
    """Discs of a radius with their middles at random pixels of `where`."""
    places = np.flatnonzero(where)
    middles = np.ones(where.shape, bool)
    if places.size:
        middles.flat[rng.choice(places, min(count, places.size), replace=False)] = False
    near: Mask = ndimage.distance_transform_edt(middles) <= radius
    return near & ~middles.all()


def _shifted(pixels: UInt8Array, by: int, axis: int, fill: tuple[int, ...]) -> UInt8Array:
    """Pixels moved along an axis; what comes in is `fill`."""
    moved = np.empty_like(pixels)
    moved[...] = fill
    source = [slice(None), slice(None)]
    target = [slice(None), slice(None)]
    source[axis] = slice(max(0, -by), pixels.shape[axis] - max(0, by))
    target[axis] = slice(max(0, by), pixels.shape[axis] - max(0, -by))
    moved[tuple(target)] = pixels[tuple(source)]
    return moved


def show(rows: Sequence[Row], thresholds: dict[str, float]) -> None:
    """Prints the table."""
    table = Table(title=f"flagged layers, %, at the default thresholds ({machine()})")
    for heading in ("layers", "n", "any score", *(f"{name}\n< {value:g}" for name, value in thresholds.items())):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = (f"{100 * row.by_score[name]:.1f}" if row.by_score[name] else "·" for name in thresholds)
        table.add_row(row.kind, str(row.layers), f"{100 * row.flagged:.1f}", *cells)
    Console(width=190).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=400, help="sound layers, each broken in every way")
    parser.add_argument("--drawn", type=int, default=0, help="layers drawn by the embedded model")
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    config = FiltersConfig(clip=ClipConfig())
    thresholds = {name: value for name, value in config.thresholds().items() if name != "clip_whole"}
    rows = measure(arguments.layers, arguments.drawn, config)
    show(rows, thresholds)
    if arguments.json:
        document = {"thresholds": thresholds, "rows": [dataclasses.asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
