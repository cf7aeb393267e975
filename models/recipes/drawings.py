"""All training pictures, rendered once: layers on gray and scenes, with what they show.

python -m models.recipes.drawings        writes models/recipes/checkpoints/drawings/
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.recipes.scenes import paint, soften
from models.recipes.sprites import on_gray, place
from models.vocabulary import load_vocabulary

CHECKPOINTS = Path(__file__).parent / "checkpoints"
DRAWINGS = CHECKPOINTS / "drawings"
LAYER_SIDE = 96
BASE_SIZES = ((96, 96), (128, 80), (80, 128))  # (width, height)
_CONCEPT_VARIANTS = 6  # per style; the default style has twice as many
_SHAPE_VARIANTS = 3
_SCENE_VARIANTS = {True: 6, False: 24}  # per size: with a colour (each colour), without


@dataclass(frozen=True)
class Layers:
    """`rgb` uint8 [n, 96, 96, 3]; `label` and `style` are indices into the vocabulary's `labels` and `styles`."""

    rgb: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int16]
    style: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Scenes:
    """`rgb` uint8 [n, height, width, 3]; `color` is −1 where the scene takes none."""

    rgb: npt.NDArray[np.uint8]
    scene: npt.NDArray[np.int8]
    color: npt.NDArray[np.int8]
    style: npt.NDArray[np.int8]


def load_layers() -> Layers:
    return Layers(*(np.load(DRAWINGS / f"layers_{part}.npy", mmap_mode="r") for part in ("rgb", "label", "style")))


def load_scenes(size: tuple[int, int]) -> Scenes:
    stem = f"scenes_{size[0]}x{size[1]}"
    parts = ("rgb", "scene", "color", "style")
    return Scenes(*(np.load(DRAWINGS / f"{stem}_{part}.npy", mmap_mode="r") for part in parts))


def render_label(index: int) -> list[tuple[npt.NDArray[np.uint8], int]]:
    """All variants of one label with their style's index; seeded by the label alone."""
    vocabulary = load_vocabulary()
    label = vocabulary.labels[index]
    rng = np.random.default_rng([20, index])
    variants = _CONCEPT_VARIANTS if label in vocabulary.concepts else _SHAPE_VARIANTS
    drawn = []
    for style_index, style in enumerate(vocabulary.styles):
        for _ in range(variants * (2 if style == vocabulary.default_style else 1)):
            fill = float(rng.uniform(0.74, 0.84))
            shift = (float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.03, 0.03)))
            drawn.append((on_gray(place(label, style, fill, shift, LAYER_SIDE)), style_index))
    return drawn


def render_scenes(size: tuple[int, int]) -> Scenes:
    """All variants of all scenes at one size (width, height)."""
    vocabulary = load_vocabulary()
    rng = np.random.default_rng([21, *size])
    rows = []
    for scene_index, scene in enumerate(vocabulary.scenes.values()):
        for color_index, color in enumerate(vocabulary.colors) if scene.takes_color else [(-1, None)]:
            for variant in range(_SCENE_VARIANTS[scene.takes_color]):
                # Every second variant has another style than the default.
                style_index = 0 if variant % 2 == 0 else int(rng.integers(len(vocabulary.styles)))
                picture = paint(scene.name, color, size, rng)
                styled = soften(picture, vocabulary.styles[style_index], rng)
                rows.append((styled, scene_index, color_index, style_index))
    rgb, scenes, colors, styles = zip(*rows, strict=True)
    return Scenes(np.stack(rgb), np.array(scenes, np.int8), np.array(colors, np.int8), np.array(styles, np.int8))


def main() -> None:
    DRAWINGS.mkdir(parents=True, exist_ok=True)
    labels = range(len(load_vocabulary().labels))
    with ProcessPoolExecutor(2) as pool:
        drawn = list(pool.map(render_label, labels, chunksize=8))
    np.save(DRAWINGS / "layers_rgb.npy", np.stack([rgb for rows in drawn for rgb, _ in rows]))
    np.save(DRAWINGS / "layers_label.npy", np.repeat(np.arange(len(drawn), dtype=np.int16), [len(r) for r in drawn]))
    np.save(DRAWINGS / "layers_style.npy", np.array([style for rows in drawn for _, style in rows], np.int8))
    for size in BASE_SIZES:
        scenes = render_scenes(size)
        for part in ("rgb", "scene", "color", "style"):
            np.save(DRAWINGS / f"scenes_{size[0]}x{size[1]}_{part}.npy", getattr(scenes, part))
    print(f"{sum(map(len, drawn))} layers and the scenes of {len(BASE_SIZES)} sizes in {DRAWINGS}")


if __name__ == "__main__":
    main()
