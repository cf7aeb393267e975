"""How fast samples become shards and come back, beside plain `webdataset` on the same bytes in the same run.

What ours does besides: a sha256 of every file and of every shard, and an fsync before a shard gets its name.
Reading is from warm files, one process, one thread.

    python -m benchmarks.shards [--samples 48] [--side 512] [--layers 6] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import webdataset
from rich.console import Console
from rich.table import Table
from webdataset.writer import ShardWriter

from benchmarks.machine import machine
from layered import Box, Layer, LayeredImage, LayerRecord, Sidecar
from layered.arrays import UInt8Array
from layered.codec import SIDECAR_MEMBER, encode_members
from layered.pixels import clear_hidden
from shards.reader import Publication, iterate_tar
from shards.writer import ShardConfig, ShardSample, write_publication, write_shards

SAMPLES_PER_SHARD = 16


@dataclass(frozen=True)
class Row:
    """One thing done: megabytes per second, ours and plain webdataset's (None where it has no such thing)."""

    name: str
    ours: float
    plain: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.plain is None else self.ours / self.plain


def measure(samples: list[ShardSample], repeats: int) -> list[Row]:
    """Medians over `repeats` rounds; within a round ours and webdataset take turns."""
    megabytes = sum(len(content) for sample in samples for content in sample.members.values()) / 1e6
    rounds = []
    for number in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(_round(Path(folder), samples, number))
    speeds = {name: megabytes / statistics.median(seconds[name] for seconds in rounds) for name in rounds[0]}
    return [
        Row(name, speed, speeds.get(f"{name}, plain")) for name, speed in speeds.items() if not name.endswith("plain")
    ]


def _round(folder: Path, samples: list[ShardSample], seed: int) -> dict[str, float]:
    """Seconds by what was done, once each."""
    config = ShardConfig(max_samples_per_shard=SAMPLES_PER_SHARD)
    contents = [(sample.sidecar.id, sample.members) for sample in samples]
    ours, plain = folder / "ours", folder / "plain"
    ours.mkdir()
    plain.mkdir()
    seconds = {
        "write shards": _seconds(lambda: write_shards(samples, ours, config)),
        "write shards, plain": _seconds(lambda: _write_plainly(contents, plain)),
        "write a publication": _seconds(lambda: write_publication(samples, folder / "set", config)),
    }
    publication = Publication.open(folder / "set")
    urls = [str(path) for path in sorted(publication.path.glob("*.tar"))]
    shuffled = publication.sample_ids
    random.Random(seed).shuffle(shuffled)
    undecoded = webdataset.WebDataset(urls, shardshuffle=False)
    decoded = webdataset.WebDataset(urls, shardshuffle=False).decode("pilrgba")
    return seconds | {
        "read in order": _seconds(lambda: [list(iterate_tar(Path(url))) for url in urls]),
        "read in order, plain": _seconds(lambda: list(undecoded)),
        "read at random": _seconds(lambda: [publication.members(sample_id) for sample_id in shuffled]),
        "read and decode": _seconds(lambda: [publication.sample(sample_id) for sample_id in shuffled]),
        "read and decode, plain": _seconds(lambda: [_touch(sample) for sample in decoded]),
    }


def make_samples(count: int, side: int, layers: int) -> list[ShardSample]:
    """Designs with the file sizes of photographs: noise over a gradient, round layers of half the canvas."""
    generator = np.random.default_rng(0)
    return [_make_sample(generator, number, side, layers) for number in range(count)]


def _make_sample(generator: np.random.Generator, number: int, side: int, layers: int) -> ShardSample:
    half = side // 2
    y, x = np.mgrid[:half, :half] / half - 0.5
    alpha = np.clip((0.5 - np.hypot(x, y)) * 40, 0, 1) * 255
    placed = []
    for _ in range(layers):
        rgba = np.dstack([_photo(generator, half), alpha.round().astype(np.uint8)])
        left, top = (int(value) for value in generator.integers(0, half, 2))
        placed.append(Layer(clear_hidden(rgba), Box(left, top, left + half, top + half)))
    records = tuple(
        LayerRecord.of_layer(index, layer, f"disc {index}", model="noise", licence="CC0-1.0")
        for index, layer in enumerate(placed)
    )
    sidecar = Sidecar(
        id=f"s{number:07d}",
        canvas=(side, side),
        style_category="noise",
        whole_caption="discs",
        base_caption="noise",
        layer_count=layers,
        layers=records,
    )
    members = encode_members(LayeredImage(_photo(generator, side), tuple(placed)), sidecar)
    return ShardSample("train", sidecar, {name: data for name, data in members.items() if name != SIDECAR_MEMBER})


def _photo(generator: np.random.Generator, side: int) -> UInt8Array:
    ramp = np.linspace(40, 200, side)[None, :, None]
    photo: UInt8Array = np.clip(ramp + generator.normal(0, 4, (side, side, 3)), 0, 255).astype(np.uint8)
    return photo


def _write_plainly(contents: list[tuple[str, dict[str, bytes]]], folder: Path) -> None:
    with ShardWriter(
        str(folder / "train-%05d.tar"), maxcount=SAMPLES_PER_SHARD, verbose=0, encoder=False, mtime=0
    ) as writer:
        for sample_id, members in contents:
            writer.write({"__key__": sample_id, **members})


def _touch(sample: Mapping[str, object]) -> list[UInt8Array]:
    """Pillow decodes when pixels are asked for."""
    return [np.asarray(value) for name, value in sample.items() if name.endswith(".png")]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--side", type=int, default=512, help="canvas side in pixels")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    samples = make_samples(arguments.samples, arguments.side, arguments.layers)
    rows = measure(samples, arguments.repeats)
    megabytes = sum(len(content) for sample in samples for content in sample.members.values()) / 1e6
    table = Table(title=f"{len(samples)} samples of {arguments.layers} layers, {megabytes:.0f} MB; {machine()}")
    for heading in ("", "ours, MB/s", "webdataset, MB/s", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        plain = "–" if row.plain is None else f"{row.plain:.0f}"
        table.add_row(row.name, f"{row.ours:.0f}", plain, "–" if row.ratio is None else f"{row.ratio:.2f}")
    Console().print(table)
    if arguments.json:
        results = [{"name": row.name, "ours": row.ours, "webdataset": row.plain, "ratio": row.ratio} for row in rows]
        document = {"machine": machine(), "megabytes": megabytes, "unit": "MB/s", "rows": results}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
