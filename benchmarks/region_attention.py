"""What region crop saves: ART's transformer over cropped regions, over full canvases of all layers, and factorised.

One double and one single block of width 256 on a canvas of 1024² pixels with tokens of 16 px, one forward as in
sampling. Layouts: `benchmarks/region_layouts.py`. Every case runs in a process of its own, so that its memory is its
own. Three ways:

- ``region``: the merged image, the background, and each layer cropped to its box; attention over all of these tokens.
- ``full``: every layer as a full canvas; attention over all tokens of all layers.
- ``spatial+temporal``: full canvases too; a token sees the text and its own layer, and its own place in all layers.

Then a training step on packed samples against one on padded samples (`benchmarks/packed_training.py`).

    python -m benchmarks.region_attention                                          # two threads, a quarter of an hour
    python -m benchmarks.region_attention --canvas 256 --layers 2 4 8 --json /tmp/r.json --plot /tmp/r.png   # a minute
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, get_args

import torch
from torch import Tensor

from art_model.attention import Spans, attend
from art_model.packing import PackedBatch, pack
from art_model.regions import Regions, regions_of
from art_model.transformer import RegionTransformer
from benchmarks import packed_training
from benchmarks.machine import machine
from benchmarks.memory import peak_bytes_of
from benchmarks.region_layouts import drawn_boxes
from benchmarks.region_model import CONFIG, PRECISIONS, Attention, forward_flops, matmul_rate, noise_sample
from layered.box import Box

LAYERS = (2, 4, 8, 12, 16, 25, 50)
MANY = 16
"""Above so many layers the full canvases are run once, without a warm-up: minutes hide what a warm-up saves."""
REPEATS = {"region": 3, "full": 2, "spatial+temporal": 3}
TEXT = 128
RESULTS = Path(__file__).parent / "results" / "region_attention.json"
PLOT = Path(__file__).parents[1] / "docs" / "images" / "region_attention.png"


@dataclass(frozen=True)
class Case:
    """One measurement; `repeats` 0 for a single run without warm-up."""

    attention: Attention
    layers: int
    canvas: int
    precision: str
    repeats: int
    threads: int


@dataclass(frozen=True)
class Result:
    """What came out of a case; `matmul_rate` is FLOP/s of a large matrix product in the same process."""

    case: Case
    tokens: int
    seconds: float
    flops: float
    peak_bytes: int
    matmul_rate: float


def regions_for(case: Case) -> Regions:
    canvas = (case.canvas, case.canvas)
    boxes = drawn_boxes(case.layers, canvas, seed=case.layers)
    return regions_of(canvas, boxes if case.attention == "region" else [Box.canvas(canvas)] * case.layers)


class SpatialTemporal:
    """Attention inside each layer's full canvas (with the text) plus attention across layers at each place."""

    def __init__(self, canvases: int) -> None:
        self.canvases = canvases

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, spans: Spans) -> Tensor:
        text, places = spans.text, spans.image // self.canvases
        parts = [[whole[:text], *torch.split(whole[text:], places)] for whole in (query, key, value)]
        own = Spans(text, places, (text,), (places,))
        inside = [
            attend(*(torch.cat([part[0], part[1 + canvas]]) for part in parts), own) for canvas in range(self.canvases)
        ]
        across = self._across(query[text:], key[text:], value[text:], places)
        told = torch.stack([canvas[:text] for canvas in inside]).mean(0)
        return torch.cat([told, torch.cat([canvas[text:] for canvas in inside]) + across])

    def _across(self, query: Tensor, key: Tensor, value: Tensor, places: int) -> Tensor:
        """``[canvases · places, heads, head width]``, each token among those of its place."""
        by_place = [
            part.view(self.canvases, places, *part.shape[1:]).permute(1, 2, 0, 3) for part in (query, key, value)
        ]
        attended = torch.nn.functional.scaled_dot_product_attention(by_place[0], by_place[1], by_place[2])
        return attended.permute(2, 0, 1, 3).reshape(len(query), -1)


def measure(case: Case) -> Result:
    """Runs a case in this process."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    dtype = PRECISIONS[case.precision]
    regions = regions_for(case)
    transformer = RegionTransformer(**CONFIG).to(dtype).eval()
    if case.attention == "spatial+temporal":
        transformer.attention_backend = SpatialTemporal(len(regions.items))
    batch = pack([noise_sample(regions.positions(), TEXT, transformer.config, dtype)])
    rate = matmul_rate(dtype)
    small = noise_sample(regions_for(replace(case, canvas=64)).positions(), TEXT, transformer.config, dtype)
    with torch.inference_mode():
        transformer(pack([small]))  # libraries set themselves up
        if case.repeats == 0:
            start = time.perf_counter()
            peak = peak_bytes_of(lambda: transformer(batch))
            seconds = [time.perf_counter() - start]
        else:
            peak = peak_bytes_of(lambda: transformer(batch), exact=True)  # warms up, too
            seconds = [_seconds(transformer, batch) for _ in range(case.repeats)]
    flops = forward_flops(transformer.config, regions.tokens, TEXT, case.attention, len(regions.items))
    return Result(case, regions.tokens, median(seconds), flops, peak, rate)


def _seconds(transformer: RegionTransformer, batch: PackedBatch) -> float:
    start = time.perf_counter()
    transformer(batch)
    return time.perf_counter() - start


def in_own_process(case: Case) -> Result:
    command = [sys.executable, "-m", "benchmarks.region_attention", "--case", json.dumps(asdict(case))]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return result_of(json.loads(output.splitlines()[-1]))


def result_of(values: dict[str, Any]) -> Result:
    return Result(**{**values, "case": Case(**values["case"])})


def faster_precision(layers: int, canvas: int, threads: int) -> str:
    """Of float32 and bfloat16, which runs the regions of a middling layout faster here."""
    seconds = {
        precision: in_own_process(Case("region", layers, canvas, precision, REPEATS["region"], threads)).seconds
        for precision in PRECISIONS
    }
    return min(seconds, key=lambda precision: seconds[precision])


def run_cases(layers: Sequence[int], canvas: int, threads: int) -> list[Result]:
    precision = faster_precision(sorted(layers)[len(layers) // 2], canvas, threads)
    results = []
    for count in layers:
        for attention in get_args(Attention):
            repeats = 0 if attention == "full" and count > MANY else REPEATS[attention]
            results.append(in_own_process(Case(attention, count, canvas, precision, repeats, threads)))
            print(line_of(results[-1]), flush=True)
    return results


HEAD = """
| layers | attention | tokens | seconds | TFLOP | MB of activations | of the matmul rate |
|---|---|---|---|---|---|---|"""


def line_of(result: Result) -> str:
    case = result.case
    return (
        f"| {case.layers} | {case.attention} | {result.tokens} | {result.seconds:.2f} | {result.flops / 1e12:.2f} "
        f"| {result.peak_bytes / 2**20:.0f} | {result.flops / result.seconds / result.matmul_rate:.0%} |"
    )


@dataclass(frozen=True)
class Gain:
    """Region crop against full canvases at one layer count.

    Attributes:
        speed: how many times faster.
        flops: how many times fewer FLOPs.
        share: speed over flops: the part of what FLOPs allow that is reached.
        tokens: how many times fewer tokens.
        memory: how many times less activation memory.
        memory_excess: tokens over memory: 1 when memory shrinks as tokens do.
    """

    layers: int
    speed: float
    flops: float
    share: float
    tokens: float
    memory: float
    memory_excess: float


def gains(results: Sequence[Result]) -> list[Gain]:
    found = {(result.case.attention, result.case.layers): result for result in results}
    rows = []
    for layers in sorted({result.case.layers for result in results}):
        region, full = found["region", layers], found["full", layers]
        speed, flops = full.seconds / region.seconds, full.flops / region.flops
        tokens, memory = full.tokens / region.tokens, full.peak_bytes / region.peak_bytes
        rows.append(Gain(layers, speed, flops, speed / flops, tokens, memory, tokens / memory))
    return rows


def print_gains(rows: Sequence[Gain]) -> None:
    print("\nRegion crop against full canvases:\n")
    print("| layers | faster | FLOPs allow | share | fewer tokens | less memory | tokens / memory (≤ 1.25) |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.layers} | {row.speed:.1f}× | {row.flops:.1f}× | {row.share:.0%} | {row.tokens:.1f}× "
            f"| {row.memory:.1f}× | {row.memory_excess:.2f} |"
        )


def draw(results: Sequence[Result], path: Path) -> None:
    """Time and activation memory against layers."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for attention in get_args(Attention):
        own = [result for result in results if result.case.attention == attention]
        layers = [result.case.layers for result in own]
        axes[0].plot(layers, [result.seconds for result in own], marker="o", label=attention)
        axes[1].plot(layers, [result.peak_bytes / 2**20 for result in own], marker="o", label=attention)
    for axis, title in zip(axes, ("seconds of a forward", "MB of activations at the peak"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="foreground layers", title=title)
        axis.set_xticks(sorted({result.case.layers for result in results}))
        axis.get_xaxis().set_major_formatter(mpl.ticker.ScalarFormatter())
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=list(LAYERS))
    parser.add_argument("--canvas", type=int, default=1024, help="side in pixels")
    parser.add_argument("--training-canvas", type=int, default=512, help="side in pixels; 0 leaves training out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, default=PLOT)
    parser.add_argument("--case", help=argparse.SUPPRESS)  # one case, in a process of its own
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(asdict(measure(Case(**json.loads(arguments.case))))))
        return
    print(f"{machine()}, {arguments.threads} threads, canvas {arguments.canvas}²")
    print(HEAD)
    results = run_cases(arguments.layers, arguments.canvas, arguments.threads)
    rows = gains(results)
    print_gains(rows)
    steps = []
    if arguments.training_canvas:
        steps = packed_training.run(arguments.training_canvas, arguments.threads, results[0].case.precision)
        packed_training.print_steps(steps)
    measured = {
        "machine": machine(),
        "threads": arguments.threads,
        "canvas": arguments.canvas,
        "precision": results[0].case.precision,
        "cases": [asdict(result) for result in results],
        "gains": [asdict(row) for row in rows],
        "training": [asdict(step) for step in steps],
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    draw(results, arguments.plot)
    print(f"\nwritten: {arguments.json}, {arguments.plot}")


if __name__ == "__main__":
    main()
