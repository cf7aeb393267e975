"""ART at the true shape of FLUX.1-dev, random weights in bfloat16, on a GPU: needs torch, numpy and this source tree.

One forward (a step of sampling without true CFG) at 1024² with 512 text tokens; layouts as in
`benchmarks/region_layouts.py`. Measured one after the other, and written after each:

- region crop at each layer count, eager and with compiled blocks; seconds, peak memory, MFU;
- full canvases of all layers at the same counts, until memory ends;
- packed batches of designs of different sizes, against the sum of their single times;
- what bfloat16 changes against float32 with `varlen` attention and with torch's, on one double and one single block.

    python -m benchmarks.art_flux_shape --json FILE       # about ten minutes on an H100 or H200
    python -m benchmarks.art_flux_shape --dry-run         # the same code at a tiny shape on any CPU
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from art_model.packing import PackedBatch, TokenSample, pack
from art_model.regions import Regions, regions_of
from art_model.transformer import RegionTransformer, TransformerConfig
from benchmarks.region_layouts import drawn_boxes, drawn_layer_count
from benchmarks.region_model import forward_flops, noise_sample
from layered.box import Box

LAYERS = (2, 4, 8, 12, 16, 25, 50)
PACKED = (2, 4, 8)
GUIDANCE = 1.0
FLUX_DEV: dict[str, Any] = {"guidance_embeds": True}  # the rest are the defaults
TINY: dict[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 2,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "joint_attention_dim": 64,
    "pooled_projection_dim": 64,
    "axes_dims_rope": (8, 12, 12),
    "guidance_embeds": True,
}


@dataclass(frozen=True)
class Row:
    """One measurement; seconds of one forward, or None where memory ended."""

    kind: str
    layers: int
    samples: int
    tokens: int
    compiled: bool
    seconds: float | None
    tflop: float
    mfu: float | None
    peak_gib: float | None


@dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    config: dict[str, Any]
    device: torch.device
    side: int
    text: int
    repeats: int
    peak_tflops: float

    def build(self, **changes: int) -> RegionTransformer:
        """Weights drawn on the device, in bfloat16, small enough that activations stay finite through all blocks."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with self.device:
                transformer = RegionTransformer(**{**self.config, **changes}).eval().requires_grad_(False)
        finally:
            torch.set_default_dtype(before)
        return transformer

    def regions(self, layers: int, seed: int, *, full: bool = False) -> Regions:
        canvas = (self.side, self.side)
        boxes = [Box.canvas(canvas)] * layers if full else drawn_boxes(layers, canvas, seed)
        return regions_of(canvas, boxes)

    def batch(self, designs: list[Regions]) -> PackedBatch:
        config = TransformerConfig(**self.config)
        samples = [noise_sample(regions.positions(), self.text, config, torch.bfloat16) for regions in designs]
        return pack([_on(sample, self.device) for sample in samples], guidance=GUIDANCE)

    def row(self, kind: str, transformer: RegionTransformer, designs: list[Regions], *, compiled: bool) -> Row:
        batch = self.batch(designs)
        tflop = sum(forward_flops(transformer.config, length, self.text) for length in batch.image_lengths) / 1e12
        layers = max(len(regions.items) for regions in designs) - 2
        try:
            self.forward(transformer, batch)  # warm-up, and compilation
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds = median(self.forward(transformer, batch) for _ in range(self.repeats))
        except torch.cuda.OutOfMemoryError:
            return Row(kind, layers, len(designs), len(batch.tokens), compiled, None, tflop, None, None)
        peak = torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else None
        mfu = tflop / seconds / self.peak_tflops
        return Row(kind, layers, len(designs), len(batch.tokens), compiled, seconds, tflop, mfu, peak)

    def forward(self, transformer: RegionTransformer, batch: PackedBatch) -> float:
        """Seconds, the device's queue included."""
        self.wait()
        start = time.perf_counter()
        with torch.inference_mode():
            transformer(batch)
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _on(sample: TokenSample, device: torch.device) -> TokenSample:
    return TokenSample(
        sample.tokens.to(device), sample.positions, sample.times, sample.text.to(device), sample.pooled.to(device)
    )


def rows(bench: Bench, layers: list[int], packed: list[int]) -> Iterator[Row]:
    transformer = bench.build()
    for count in layers:
        yield bench.row("region", transformer, [bench.regions(count, count)], compiled=False)
    for count in packed:
        generator = np.random.default_rng(count)
        designs = [bench.regions(drawn_layer_count(generator), seed) for seed in range(count)]
        yield bench.row("packed", transformer, designs, compiled=False)
        alone = [bench.row("alone", transformer, [regions], compiled=False) for regions in designs]
        yield _sum(alone)
    for count in layers:
        row = bench.row("full", transformer, [bench.regions(count, count, full=True)], compiled=False)
        yield row
        if row.seconds is None:
            break
    for block in [*transformer.transformer_blocks, *transformer.single_transformer_blocks]:
        block.compile(dynamic=False)
    for count in layers:
        yield bench.row("region", transformer, [bench.regions(count, count)], compiled=True)
        torch.compiler.reset()
    del transformer
    gc.collect()


def _sum(alone: list[Row]) -> Row:
    """The same designs one after the other."""
    seconds = [row.seconds for row in alone if row.seconds is not None]
    total = sum(seconds) if len(seconds) == len(alone) else None
    tflop, tokens = sum(row.tflop for row in alone), sum(row.tokens for row in alone)
    return Row("one by one", max(row.layers for row in alone), len(alone), tokens, False, total, tflop, None, None)


def varlen_difference(bench: Bench) -> dict[str, float]:
    """Root mean square of what bfloat16 changes in velocities against float32, relative to them.

    ``chosen`` is with the attention that is chosen on the device, `varlen` on CUDA; ``sdpa`` with torch's attention
    sample by sample, which should change as much.
    """
    transformer = bench.build(num_layers=1, num_single_layers=1)
    batch = bench.batch([bench.regions(3, 3), bench.regions(5, 5)])
    velocities = {}
    with torch.inference_mode():
        for backend in (None, "sdpa"):
            transformer.attention_backend = backend  # type: ignore[assignment]
            velocities["chosen" if backend is None else "sdpa"] = transformer(batch).float()
        transformer.attention_backend = None
        floats = {
            name: value.float() for name, value in vars(batch).items()
            if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
        }  # fmt: skip
        oracle = transformer.float()(PackedBatch(**{**vars(batch), **floats}))
    scale = oracle.square().mean().sqrt()
    return {name: float((own - oracle).square().mean().sqrt() / scale) for name, own in velocities.items()}


def line_of(row: Row) -> str:
    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    measured = f"{shown(row.seconds, '9.4f'):>9} {row.tflop:>9.2f} {shown(row.mfu, '6.1%'):>6}"
    return (
        f"{row.kind:<11} {row.layers:>6} {row.samples:>7} {row.tokens:>7} {row.compiled!s:>8} {measured} "
        f"{shown(row.peak_gib, '6.1f'):>6}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=list(LAYERS))
    parser.add_argument("--packed", type=int, nargs="*", default=list(PACKED))
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--text-tokens", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float, default=989, help="dense bf16 peak (H100, H200: 989)")
    parser.add_argument("--dry-run", action="store_true", help="a tiny shape, on a CPU too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.dry_run:
        arguments.layers, arguments.packed, arguments.side, arguments.text_tokens = [2, 4], [2], 64, 16
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = TINY if arguments.dry_run else FLUX_DEV
    bench = Bench(
        config, device, arguments.side, arguments.text_tokens, arguments.repeats, arguments.peak_tflops
    )  # fmt: skip
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {arguments.side}²")
    print("kind        layers samples  tokens compiled   seconds    TFLOP    MFU    GiB")
    measured: list[Row] = []
    written: dict[str, Any] = {"device": name, "torch": torch.__version__, "side": arguments.side}
    for row in rows(bench, arguments.layers, arguments.packed):
        measured.append(row)
        print(line_of(row), flush=True)
        written["rows"] = [asdict(own) for own in measured]
        _write(written, arguments.json)
    written["bf16_against_fp32"] = varlen_difference(bench)
    print(f"bfloat16 against float32, relative: {written['bf16_against_fp32']}")
    _write(written, arguments.json)


def _write(values: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
