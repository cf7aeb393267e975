"""How good the matting back ends are: errors of alpha and colour against exact layers, over flat colours.

Photo-like layers that no recipe has seen (`../shared/real_layers`, left out where they are absent), synthetic layers
from seeds that the recipe does not use, and small drawings as the embedded generator makes them. The layers are
composited over mid-gray with noise of 1.5/255, over mid-gray and through the embedded autoencoder, and over other flat
colours with noise; triangulation gets a pair over black and white. The picture shows synthetic layers and drawings
alone: the others are for measuring.

    python -m benchmarks.matting [--synthetic 100] [--json FILE] [--picture FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from evaluation.matte_errors import MatteErrors, matte_errors, mean_errors
from layered.arrays import Color, FloatArray, UInt8Array
from layered.compositing import over_color
from layered.pixels import clear_hidden, resize, round_to_uint8, unpremultiply
from layered.rendering import contact_sheet
from models import TINY
from models.recipes.cards import write_section
from models.recipes.matting_data import POOL, layer_kind, render_layer, through_vae
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary
from stages.matting import MattingConfig, matter_of
from stages.matting.triangulation import triangulate

REPOSITORY: Final = Path(__file__).parents[1]
REAL_LAYERS: Final = REPOSITORY.parent / "shared" / "real_layers"
RESULT: Final = REPOSITORY / "benchmarks" / "results" / "matting.json"
PICTURE: Final = REPOSITORY / "docs" / "images" / "mattes.png"
CARD: Final = TINY / "matting" / "README.md"
GRAY: Final[Color] = (128, 128, 128)
NOISE: Final = 1.5
DRAWING_SIDE: Final = 96
OTHER_COLORS: Final[tuple[Color, ...]] = ((255, 255, 255), (0, 0, 0), (0, 177, 64), (40, 70, 160), (190, 190, 190))

Matte = Callable[["TestPicture"], UInt8Array]

Found = dict[str, dict[str, list[MatteErrors]]]
"""Errors by group of pictures and method, one per picture in order."""


@dataclass(frozen=True, eq=False)
class TestPicture:
    """A layer over a flat colour, and what a matte of it should be.

    Attributes:
        group: which mean it belongs to.
        kind: of a synthetic layer.
        true: straight RGBA ``[h, w, 4]``.
        rgb: the composite as a back end sees it, of that size.
    """

    group: str
    kind: str
    true: UInt8Array
    rgb: UInt8Array
    background: Color


def pictures(synthetic: int) -> Iterator[TestPicture]:
    """All composites but the pairs for triangulation."""
    layers = [*real_layers(), *synthetic_layers(synthetic)]
    for number, (group, kind, true) in enumerate(layers):
        yield TestPicture(f"{group}, gray", kind, true, composite(true, GRAY, number), GRAY)
        yield TestPicture(f"{group}, through the VAE", kind, true, roundtrip(over_color(true, GRAY)), GRAY)
        other = OTHER_COLORS[number % len(OTHER_COLORS)]
        yield TestPicture(f"{group}, other colours", kind, true, composite(true, other, number), other)
    for style, true in drawings(synthetic // 2):
        yield TestPicture("drawings, through the VAE", style, true, roundtrip(over_color(true, GRAY)), GRAY)


def real_layers() -> Iterator[tuple[str, str, UInt8Array]]:
    """The photo-like layers, where they are at hand."""
    for group, pattern in (
        ("semi-transparent", "semi_transparent/*/fg.png"),
        ("opaque", "opaque_scenes/*/layer_?.png"),
    ):
        for path in sorted(REAL_LAYERS.glob(pattern)):
            yield group, f"{path.parent.name}/{path.stem}", clear_hidden(np.array(Image.open(path).convert("RGBA")))


def synthetic_layers(count: int) -> Iterator[tuple[str, str, UInt8Array]]:
    """Layers of all kinds that the recipe renders, from numbers that it does not use."""
    for number in range(POOL, POOL + count):
        yield "synthetic", layer_kind(number), unpremultiply(render_layer(number))


def drawings(count: int) -> Iterator[tuple[str, UInt8Array]]:
    """Sprites at the embedded generator's size, in its styles."""
    vocabulary, rng = load_vocabulary(), np.random.default_rng(70)
    for number in range(count):
        style = vocabulary.styles[number % len(vocabulary.styles)]
        label = vocabulary.labels[rng.integers(len(vocabulary.labels))]
        shift = float(rng.uniform(-0.04, 0.04)), float(rng.uniform(-0.04, 0.04))
        yield style, clear_hidden(np.array(place(label, style, float(rng.uniform(0.7, 0.86)), shift, DRAWING_SIDE)))


def composite(true: UInt8Array, background: Color, seed: int) -> UInt8Array:
    """The layer over a colour, with the noise of a generator."""
    noise = np.random.default_rng([71, seed]).normal(0, NOISE, (*true.shape[:2], 3))
    return np.clip(np.rint(over_color(true, background) + noise), 0, 255).astype(np.uint8)


def roundtrip(rgb: UInt8Array) -> UInt8Array:
    """A picture through the embedded autoencoder and back."""
    decoded = through_vae(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)
    return round_to_uint8(decoded[0].permute(1, 2, 0).numpy())


def distance_holes_core(picture: TestPicture) -> UInt8Array:
    """The recipe to beat: distance to the background, holes filled, solid core; with the best of its settings."""
    alpha = distance(picture)
    core = ndimage.binary_erosion(ndimage.binary_fill_holes(alpha > 0.5), iterations=3)
    return np.dstack([picture.rgb, np.rint(255 * np.maximum(alpha, core)).astype(np.uint8)])


def distance(picture: TestPicture) -> FloatArray:
    """Alpha from the largest difference of a channel to the background, full at 60 levels."""
    off: FloatArray = np.abs(picture.rgb.astype(np.float32) - np.array(picture.background)).max(axis=-1)
    return np.clip((off - 4) / 56, 0, 1)


def plain_distance(picture: TestPicture) -> UInt8Array:
    return np.dstack([picture.rgb, np.rint(255 * distance(picture)).astype(np.uint8)])


def color_to_alpha(picture: TestPicture) -> UInt8Array:
    """The least alpha that explains each pixel, as image editors compute it."""
    flat = np.array(picture.background, np.float32)
    off = picture.rgb.astype(np.float32) - flat
    alpha = (np.abs(off) / np.maximum(np.where(off > 0, 255 - flat, flat), 1)).max(axis=-1).clip(0, 1)
    colors = flat + off / np.maximum(alpha[..., None], 1e-3)
    return round_to_uint8(np.dstack([colors / 255, alpha]).astype(np.float32))


def back_end(name: str) -> Matte:
    """A configured back end; it enlarges small drawings as in a run, and its matte is reduced again for comparison."""
    matters = {side: matter_of(MattingConfig(backend=name, min_side=side)) for side in (1, 256)}

    def matte(picture: TestPicture) -> UInt8Array:
        height, width = picture.true.shape[:2]
        found, _ = matters[256 if height == DRAWING_SIDE else 1].matte(picture.rgb)
        return resize(found, (width, height))

    return matte


def triangulated(picture: TestPicture) -> UInt8Array:
    """From two renders of the layer, each with its own noise; what the picture itself shows is not looked at."""
    one, other = (composite(picture.true, (level,) * 3, 1000 + level) for level in (0, 255))
    return triangulate(one, other, (0, 0, 0), (255, 255, 255))


METHODS: Final[dict[str, Callable[[], Matte]]] = {
    "colour to alpha": lambda: color_to_alpha,
    "distance": lambda: plain_distance,
    "distance, holes filled, solid core": lambda: distance_holes_core,
    "keyer": lambda: back_end("keyer"),
    "layerprism": lambda: back_end("layerprism"),
    "triangulation": lambda: triangulated,
}


def measure(tests: Sequence[TestPicture]) -> Found:
    """All errors; triangulation is measured where noise is all there is."""
    found: Found = {}
    for name, make in METHODS.items():
        matte = make()
        for test in tests:
            if name == "triangulation" and not test.group.endswith(", gray"):
                continue
            errors = matte_errors(matte(test), test.true)
            found.setdefault(test.group, {}).setdefault(name, []).append(errors)
    return found


def side_by_side(tests: Sequence[TestPicture], rows: int = 12) -> UInt8Array:
    """Synthetic layers of as many kinds as there are, and drawings: picture, true alpha, mattes, the cut-out layer."""
    chosen: dict[str, TestPicture] = {}
    for test in tests:
        if test.group in ("synthetic, gray", "drawings, through the VAE"):
            chosen.setdefault(test.kind, test)
    methods = {name: METHODS[name]() for name in ("distance", "keyer", "layerprism")}
    tiles, captions = [], []
    for kind, test in list(chosen.items())[:rows]:
        mattes = {name: matte(test) for name, matte in methods.items()}
        tiles += [test.rgb, _gray(test.true), *(_gray(each) for each in mattes.values()), mattes["layerprism"]]
        captions += [kind.replace("_", " "), "true alpha", *mattes, "layerprism, cut out"]
    return contact_sheet(tiles, columns=6, tile=(180, 180), captions=captions)


def _gray(rgba: UInt8Array) -> UInt8Array:
    return np.repeat(rgba[..., 3:], 3, axis=-1)


def show(found: Found) -> None:
    """Prints one table per group of pictures."""
    console = Console(width=130)
    for group, methods in found.items():
        count = len(next(iter(methods.values())))
        table = Table(title=f"{group}: means over {count} pictures")
        table.add_column("method")
        for heading in ("mean |Δα|", "MSE", "SAD, 10³", "gradient, 10³", "connectivity, 10³", "colour |ΔF|"):
            table.add_column(heading, justify="right")
        for name, errors in methods.items():
            mean = mean_errors(errors)
            table.add_row(
                name, f"{mean.mad:.4f}", f"{mean.mse:.4f}", f"{mean.sad:.2f}", f"{mean.gradient:.2f}",
                f"{mean.connectivity:.2f}", f"{mean.color:.4f}",
            )  # fmt: skip
        console.print(table)


def alpha_table(found: Found) -> str:
    """Markdown for the model's card: mean absolute alpha errors of the back ends that see one picture."""
    rows = [
        f"| {group} | {len(methods['keyer'])} | {mean_errors(methods['keyer']).mad:.4f} "
        f"| {mean_errors(methods['layerprism']).mad:.4f} |"
        for group, methods in found.items()
    ]
    return "\n".join(["| pictures | number | keyer | layerprism |", "|---|---|---|---|", *rows])


def by_kind(
    tests: Sequence[TestPicture], found: dict[str, dict[str, list[MatteErrors]]]
) -> dict[str, dict[str, float]]:
    """Mean absolute alpha errors of the two back ends on synthetic layers over gray, by what they show."""
    kinds: dict[str, dict[str, list[float]]] = {}
    group = "synthetic, gray"
    shown = [test.kind for test in tests if test.group == group]
    for name in ("keyer", "layerprism"):
        for kind, errors in zip(shown, found[group][name], strict=True):
            kinds.setdefault(kind, {}).setdefault(name, []).append(errors.mad)
    return {kind: {name: float(np.mean(each)) for name, each in names.items()} for kind, names in kinds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--synthetic", type=int, default=100, help="synthetic layers; half as many drawings")
    parser.add_argument("--json", type=Path, default=RESULT, help="the means, and every picture's error")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="the side-by-side picture")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tests = list(pictures(arguments.synthetic))
    found = measure(tests)
    show(found)
    kinds = by_kind(tests, found)
    document = {
        "means": {
            group: {name: dataclasses.asdict(mean_errors(errors)) for name, errors in methods.items()}
            for group, methods in found.items()
        },
        "counts": {group: len(next(iter(methods.values()))) for group, methods in found.items()},
        "synthetic by kind": kinds,
        "alpha error of each picture": {
            group: {name: [round(each.mad, 5) for each in errors] for name, errors in methods.items()}
            for group, methods in found.items()
        },
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(side_by_side(tests)).save(arguments.picture, optimize=True)
    if arguments.json == RESULT:
        write_section(CARD, "matting", alpha_table(found))
    print(f"{arguments.json} {arguments.picture}")


if __name__ == "__main__":
    main()
