"""The design bench: held-out designs of exact sprites, whose boxes have the statistics of real layouts.

    python -m models.recipes.design_bench --truth runs/design_bench      draws the true designs as a layered folder
    python -m models.recipes.design_bench --write                        the committed list of designs, anew
    python -m models.recipes.design_bench --validation runs/design_validation    others, to choose settings by

Sizes and places follow the 40 foreground boxes of eight layouts of real designs (ART's examples), except that no thing
is smaller than the judge can recognise, none overflows the canvas and none hides much of another. Prompts name every
thing. The group ``set-a`` holds labels that ART was trained on alone, ``all`` any of the vocabulary.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from evaluation.bench import BenchItem, write_designs
from layered.arrays import Size
from layered.box import Box
from layered.brief import Brief, BriefLayer
from layered.codec import encode_members
from layered.folder import write_layered_folder
from layered.image import Layer, LayeredImage
from layered.placing import trim
from layered.sidecar import LayerRecord, Sidecar
from models.recipes.art_designs import LAYERS, set_a
from models.recipes.captions import scene_caption, whole_caption
from models.recipes.scenes import paint
from models.recipes.sprites import place
from models.vocabulary import Theme, load_vocabulary

DESIGNS: Final = Path(__file__).resolve().parents[2] / "configs" / "evaluate" / "design_bench.jsonl"
STREAM: Final = 90  # of designs that no training draws from
TRAINING_STREAM: Final = 89  # of designs of the same kind, for the pipeline to make
VALIDATION_STREAM: Final = 88  # of designs by which settings are chosen
VALIDATION_DESIGNS: Final = 128
GROUPS: Final = {"all": 200, "set-a": 100}
CANVAS: Final[Size] = (128, 128)
SIDES_OF_LAYOUTS: Final = (0.175, 0.26, 0.45, 0.562)
"""Roots of the boxes' parts of the canvas at the quantiles 0.25, 0.5, 0.75 and 0.9 of the real layouts."""

CENTERS_OF_LAYOUTS: Final = (0.5, 0.2)
"""Mean and standard deviation of the boxes' middles, as parts of the canvas's sides."""

DESIGNS_FILE: Final = "designs.jsonl"

_QUANTILES: Final = (0.25, 0.5, 0.75, 0.9)
_SIDES: Final = (0.24, 0.62)  # of the canvas: smallest that is recognised, largest that leaves room
_MOST_HIDDEN: Final = 0.2  # of the smaller of two boxes
_TRIES: Final = 60
_TINIEST_ALPHA: Final = 8


def bench_design(group: str, number: int, stream: int = STREAM) -> tuple[BenchItem, LayeredImage]:
    """A design of a group, always the same."""
    vocabulary = load_vocabulary()
    rng = np.random.default_rng([stream, list(GROUPS).index(group), number])
    theme = list(vocabulary.themes.values())[rng.integers(len(vocabulary.themes))]
    scene = vocabulary.scenes[str(rng.choice(theme.scenes))]
    color = str(rng.choice(list(vocabulary.colors))) if scene.takes_color else None
    # Fewest and most layers come equally often, whatever fits onto the canvas.
    wanted = LAYERS[0] + number % (LAYERS[1] - LAYERS[0] + 1)
    placed: list[tuple[str, Layer]] = []
    while len(placed) < wanted:
        placed = _placed(_labels(theme, group, wanted, rng), rng)
    labels = [label for label, _ in placed]
    base_caption = scene_caption(scene, color, rng)
    brief = Brief(
        id=f"{group}-{number:03d}",
        canvas=CANVAS,
        style=vocabulary.default_style,
        whole_caption=whole_caption(labels, base_caption, theme.title, rng),
        base_caption=base_caption,
        layers=tuple(
            BriefLayer(caption=vocabulary.label_caption(label), box=layer.box.as_tuple()) for label, layer in placed
        ),
    )
    image = LayeredImage(paint(scene.name, color, CANVAS, rng), tuple(layer for _, layer in placed))
    return BenchItem(brief=brief, named=tuple(labels), group=group), image


def true_sidecar(item: BenchItem, image: LayeredImage) -> Sidecar:
    """What is known of a true design."""
    brief = item.brief
    records = tuple(
        LayerRecord.of_layer(index, layer, wanted.caption or "", model="exact sprites", licence="OFL-1.1")
        for index, (wanted, layer) in enumerate(zip(brief.layers, image.layers, strict=True))
    )
    return Sidecar(
        id=brief.id,
        canvas=brief.canvas,
        style_category=brief.style,
        whole_caption=brief.whole_caption,
        base_caption=brief.base_caption,
        layer_count=len(records),
        layers=records,
        provenance={"bench": "designs", "group": item.group},
    )


def _labels(theme: Theme, group: str, count: int, rng: np.random.Generator) -> list[str]:
    """Different things of a theme, filled up with any others where the group has too few."""
    vocabulary = load_vocabulary()
    allowed = sorted(set_a() if group == "set-a" else vocabulary.labels)
    own = [label for label in allowed if (label in theme.concepts) or not theme.concepts]
    chosen = [str(label) for label in rng.permutation(own)[:count]]
    others = [str(label) for label in rng.permutation(allowed) if label not in chosen]
    return [*chosen, *others[: count - len(chosen)]]


def _placed(labels: list[str], rng: np.random.Generator) -> list[tuple[str, Layer]]:
    """Things with their places, large ones tried first; one that finds no place is left out."""
    sides = sorted((_side(rng) for _ in labels), reverse=True)
    placed: list[tuple[str, Layer]] = []
    for label, side in zip(labels, sides, strict=True):
        pixels = trim(np.asarray(place(label, load_vocabulary().default_style, 1.0, (0.0, 0.0), side)), _TINIEST_ALPHA)
        height, width = pixels.shape[:2]
        for _ in range(_TRIES):
            middle = rng.normal(*CENTERS_OF_LAYOUTS, 2) * CANVAS
            x, y = round(middle[0] - width / 2), round(middle[1] - height / 2)
            box = Box(x, y, x + width, y + height)
            if not box.overflows(CANVAS) and all(_hidden(box, other.box) <= _MOST_HIDDEN for _, other in placed):
                placed.append((label, Layer(pixels, box)))
                break
    return [placed[index] for index in rng.permutation(len(placed))]


def _side(rng: np.random.Generator) -> int:
    """A longer side in pixels by the quantiles of the real layouts, within what can be recognised."""
    part = float(np.interp(rng.random(), _QUANTILES, SIDES_OF_LAYOUTS))
    return round(min(CANVAS) * float(np.clip(part, *_SIDES)))


def _hidden(one: Box, other: Box) -> float:
    common = one.intersection(other)
    return common.area / min(one.area, other.area) if common else 0.0


def write_validation(folder: Path, count: int = VALIDATION_DESIGNS) -> None:
    """A bench of its own: `designs.jsonl`, and the true designs in `truth`. None of it is in the design bench."""
    drawn = [bench_design("all", number, VALIDATION_STREAM) for number in range(count)]
    for item, image in drawn:
        write_layered_folder(folder / "truth", item.brief.id, encode_members(image, true_sidecar(item, image)))
    write_designs(folder / DESIGNS_FILE, [item for item, _ in drawn])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, help="the layered folder to write")
    parser.add_argument("--write", action="store_true", help=f"write {DESIGNS.name}")
    parser.add_argument("--validation", type=Path, help="the folder for a bench of other designs, with their truth")
    arguments = parser.parse_args()
    if arguments.validation:
        write_validation(arguments.validation)
        return
    if not arguments.truth and not arguments.write:
        parser.error("give --truth FOLDER, --write or --validation FOLDER")
    items = []
    for group, count in GROUPS.items():
        for number in range(count):
            item, image = bench_design(group, number)
            items.append(item)
            if arguments.truth:
                members = encode_members(image, true_sidecar(item, image))
                write_layered_folder(arguments.truth, item.brief.id, members)
    if arguments.write:
        DESIGNS.parent.mkdir(parents=True, exist_ok=True)
        write_designs(DESIGNS, items)
    print(f"{len(items)} designs")


if __name__ == "__main__":
    main()
