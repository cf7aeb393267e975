"""Small designs for tests: deterministic, no two alike, every sidecar true."""

import hashlib
from pathlib import Path

import numpy as np

from layered import Box, Layer, LayeredImage, LayerRecord, Sidecar
from layered.codec import SIDECAR_MEMBER, encode_members
from layered.png import encode_png
from layered.scores import Score
from shards.writer import ShardSample

CANVAS = (30, 20)


def make_sample(number: int, layers: int = 2, style: str = "flat") -> tuple[LayeredImage, Sidecar]:
    """A design with that many layers, some of which overflow the canvas, and its complete sidecar."""
    random = np.random.default_rng(number)
    placed = []
    for _ in range(layers):
        width, height, x, y = (int(value) for value in random.integers([2, 2, -2, -2], [12, 12, 25, 15]))
        rgba = random.integers(0, 256, (height, width, 4), np.uint8)
        rgba[rgba[..., 3] == 0] = 0
        placed.append(Layer(rgba, Box(x, y, x + width, y + height)))
    records = tuple(
        LayerRecord(
            index=index,
            kind="image",
            caption=f"thing {index}",
            box=layer.box.as_tuple(),
            layout_box=layer.box.as_tuple(),
            seed=2**62 + index,
            attempt=0,
            sha256=hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
            model="tiny" if index else "huge",
            revision="r1",
            licence="Apache-2.0" if index else "MIT",
        )
        for index, layer in enumerate(placed)
    )
    sidecar = Sidecar(
        id=f"s{number:07d}",
        canvas=CANVAS,
        style_category=style,
        whole_caption=f"{layers} things on a beach",
        base_caption="a beach",
        layer_count=layers,
        layers=records,
        provenance={"brief": f"b{number}"},
    )
    base = random.integers(0, 256, (CANVAS[1], CANVAS[0], 3), np.uint8)
    return LayeredImage(base, tuple(placed)), sidecar


def shard_sample(number: int, layers: int = 2, split: str = "train") -> ShardSample:
    """The same design, encoded for a shard, with a score of the whole and one of each layer."""
    image, sidecar = make_sample(number, layers)
    sidecar = sidecar.model_copy(update={"scores": {"clip_whole": 0.5}})
    members = encode_members(image, sidecar)
    members.pop(SIDECAR_MEMBER)
    scores = [Score(sidecar.id, -1, "clip_whole", 0.5)]
    scores += [Score(sidecar.id, index, "clip_layer", index / 10) for index in range(layers)]
    return ShardSample(split, sidecar, members, tuple(scores))


def shard_samples(count: int) -> list[ShardSample]:
    """Designs of two to five layers, every fifth in the split ``val``."""
    return [shard_sample(number, 2 + number % 4, "val" if number % 5 == 4 else "train") for number in range(count)]


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Relative path → content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def flip_byte(path: Path, position: int) -> None:
    """Inverts one byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
