"""A bench of three small designs of plain shapes with their truth, and a configuration that compares models on it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evaluation.bench import BenchItem, write_designs
from layered import Box, Brief, BriefLayer, Layer, LayeredImage, LayerRecord, Sidecar
from layered.codec import encode_members
from layered.folder import write_layered_folder
from layered.png import encode_png

COUNT = 3
BOXES = ((4, 4, 36, 36), (-8, 10, 30, 44), (10, 26, 60, 46))


def item(number: int) -> BenchItem:
    """A brief of two things and a text."""
    layers = (
        BriefLayer(caption="a pear", box=BOXES[0]),
        BriefLayer(caption="a dog", box=BOXES[1]),
        BriefLayer(kind="text", box=BOXES[2], text="Hi"),
    )
    whole = f"a pear and a dog on a {('red', 'blue', 'green')[number]} background"
    brief = Brief(
        id=f"d{number}", canvas=(64, 48), style="cartoon", whole_caption=whole, base_caption="a beach", layers=layers
    )
    return BenchItem(brief=brief, named=("pear", "dog"))


def true_design(number: int) -> tuple[LayeredImage, Sidecar]:
    """The truth of a brief: a disc in each box."""
    brief, rng = item(number).brief, np.random.default_rng(number)
    placed = []
    for wanted in brief.layers:
        box = wanted.placed_box()
        y, x = np.mgrid[: box.height, : box.width]
        inside = ((x + 0.5) / box.width - 0.5) ** 2 + ((y + 0.5) / box.height - 0.5) ** 2 < 0.23
        pixels = np.zeros((box.height, box.width, 4), np.uint8)
        pixels[inside] = (*rng.integers(0, 256, 3), 255)
        placed.append(Layer(pixels, Box.of(wanted.box)))
    records = tuple(
        LayerRecord(
            index=index,
            kind=wanted.kind,
            caption=wanted.caption or "",
            box=wanted.box,
            layout_box=wanted.box,
            seed=0,
            attempt=0,
            sha256=hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
            model="truth",
            revision="",
            licence="MIT",
            text=wanted.text or "",
        )
        for index, (wanted, layer) in enumerate(zip(brief.layers, placed, strict=True))
    )
    sidecar = Sidecar(
        id=brief.id,
        canvas=brief.canvas,
        style_category=brief.style,
        whole_caption=brief.whole_caption,
        base_caption=brief.base_caption,
        layer_count=3,
        layers=records,
    )
    return LayeredImage(rng.integers(0, 256, (48, 64, 3), np.uint8), tuple(placed)), sidecar


def small_bench(folder: Path) -> Path:
    """Writes `bench.jsonl` and the layered folder `truth`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_designs(folder / "bench.jsonl", [item(number) for number in range(COUNT)])
    for number in range(COUNT):
        image, sidecar = true_design(number)
        write_layered_folder(folder / "truth", sidecar.id, encode_members(image, sidecar))
    return folder


def write_config(folder: Path, models: dict[str, Any], **others: Any) -> Path:
    """A configuration beside the bench; `others` are more of its sections."""
    values = {"name": "a trial", "bench": {"designs": "bench.jsonl", "truth": "truth"}, "models": models} | others
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path
