"""Small publications of drawn discs and plates, for everything that learns from one."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from layered import Box, Layer, LayeredImage, LayerRecord, Sidecar
from layered.arrays import Color, Size
from layered.codec import SIDECAR_MEMBER, encode_members
from layered.pixels import clear_hidden
from layered.png import encode_png
from layered.scores import Score
from shards.reader import Publication
from shards.writer import ShardConfig, ShardSample, write_publication

COLORS: dict[str, Color] = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 210, 40),
}
CANVASES: tuple[Size, ...] = ((64, 64), (96, 48), (48, 80))


def disc(color: str, box: Box) -> Layer:
    """An ellipse with a soft edge that fills its box."""
    y, x = np.mgrid[: box.height, : box.width]
    distance = np.hypot((x + 0.5) / box.width - 0.5, (y + 0.5) / box.height - 0.5)
    alpha = (np.clip((0.5 - distance) * min(box.size), 0, 1) * 255).round().astype(np.uint8)
    rgba = np.dstack([np.full((*alpha.shape, 3), COLORS[color], np.uint8), alpha])
    return Layer(clear_hidden(rgba), box)


def make_design(
    number: int, layers: int = 3, canvas: Size | None = None, kinds: Sequence[Literal["image", "text"]] = ()
) -> tuple[LayeredImage, Sidecar]:
    """A design of its number: discs of different colours, some of which overlap or overflow, and a true sidecar."""
    rng = np.random.default_rng([5, number])
    width, height = size = canvas or CANVASES[number % len(CANVASES)]
    names = [list(COLORS)[index % len(COLORS)] for index in range(number, number + layers)]
    placed = []
    for name in names:
        w, h = (int(value) for value in rng.integers(10, 30, 2))
        x, y = int(rng.integers(-4, width - w + 4)), int(rng.integers(-4, height - h + 4))
        placed.append(disc(name, Box(x, y, x + w, y + h)))
    base = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    captions = [f"a {name} circle" for name in names]
    return LayeredImage(base, tuple(placed)), make_sidecar(f"s{number:07d}", size, placed, captions, kinds)


def make_sidecar(
    sample_id: str,
    canvas: Size,
    layers: Sequence[Layer],
    captions: Sequence[str],
    kinds: Sequence[Literal["image", "text"]] = (),
) -> Sidecar:
    records = tuple(
        LayerRecord(
            index=index,
            kind=kinds[index] if kinds else "image",
            caption=caption,
            box=layer.box.as_tuple(),
            layout_box=layer.box.as_tuple(),
            seed=index,
            attempt=0,
            sha256=hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
            model="drawn",
            revision="1",
            licence="CC0-1.0",
        )
        for index, (layer, caption) in enumerate(zip(layers, captions, strict=True))
    )
    return Sidecar(
        id=sample_id,
        canvas=canvas,
        style_category="flat",
        whole_caption=f"{', '.join(captions)} on plain gray paper",
        base_caption="plain gray paper",
        layer_count=len(records),
        layers=records,
    )


def shard_sample(
    image: LayeredImage, sidecar: Sidecar, split: str = "train", scores: Sequence[Score] = ()
) -> ShardSample:
    members = encode_members(image, sidecar)
    members.pop(SIDECAR_MEMBER)
    return ShardSample(split, sidecar, members, tuple(scores))


def tiny_publication(folder: Path, count: int = 6, *, per_shard: int = 4) -> Publication:
    """`count` designs of one to four layers on three canvases; every fifth stands in the split ``val``."""
    samples = [
        shard_sample(*make_design(number, 1 + number % 4), split="val" if number % 5 == 4 else "train")
        for number in range(count)
    ]
    return write_publication(samples, folder, ShardConfig(max_samples_per_shard=per_shard))
