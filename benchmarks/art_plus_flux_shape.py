"""A LoRA step of ART+ at the true shape of FLUX.1-dev, random weights in bfloat16, on a GPU.

Adapters of rank 64 and gradient checkpoints as in `configs/art_plus/flux_lora.yaml`, 512 text tokens, layouts as in
`benchmarks/region_layouts.py`. A step is forward, the trainer's loss, backward, clipping and the optimiser. For both
sides of the canvas, with the base in bfloat16 and in 8 bits: packed batches of 1, 2, 4 … designs until memory ends,
then one design and the largest batch again with compiled blocks. Written after each row.

    python -m benchmarks.art_plus_flux_shape --json FILE  # about ten minutes on an H100 or H200; 8 bits need torchao
    python -m benchmarks.art_plus_flux_shape --dry-run    # the same code at a tiny shape on any CPU
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from art_model.cache_building import CacheConfig
from art_model.caching import CachedDesign
from art_model.dataset import DataConfig
from art_model.flops import TRAINING_FORWARDS, forward_flops
from art_model.objective import class_losses, summed_loss
from art_model.optimizers import build_optimizer
from art_model.regions import regions_of
from art_model.schedule import Shift
from art_model.text import PromptEmbedding
from art_model.train_config import LoraConfig, OptimizerConfig, TrainConfig
from art_model.trained_weights import TrainedWeights
from art_model.training_batches import TrainingBatch, training_batch
from art_model.transformer import RegionTransformer, TransformerConfig
from benchmarks.art_flux_shape import FLUX_DEV, GUIDANCE, TINY
from benchmarks.region_layouts import drawn_boxes, drawn_layer_count

SIDES: Final = (512, 1024)
LARGEST_BATCH: Final = 64
RANK: Final = 64


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        base: ``bfloat16`` or ``8 bits``.
        tokens: of all regions and prompts of the batch.
        seconds: median of whole steps; None where memory ended.
        mfu: products of three forwards, in 0…1 of the device's peak.
    """

    side: int
    base: str
    compiled: bool
    designs: int
    tokens: int
    seconds: float | None
    tflop: float
    mfu: float | None
    peak_gib: float | None


class RandomDesigns:
    """Designs of noise, for the trainer's own batches."""

    def __init__(self, shape: dict[str, Any], side: int, text: int, count: int) -> None:
        config = TransformerConfig(**shape)
        self._channels = config.in_channels
        self._joint, self._pooled = config.joint_attention_dim, config.pooled_projection_dim
        self._side, self._text, self._count = side, text, count
        self.empty = PromptEmbedding(self._noise(0, text, self._joint), self._noise(1, self._pooled))

    @property
    def lengths(self) -> list[int]:
        return [len(self[index].tokens) + self._text for index in range(len(self))]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> CachedDesign:
        canvas = self._side, self._side
        boxes = drawn_boxes(drawn_layer_count(np.random.default_rng(index)), canvas, index)
        return CachedDesign(
            sample_id=f"random-{index}",
            variant=0,
            canvas=canvas,
            boxes=tuple(boxes),
            kinds=tuple("image" for _ in boxes),
            tokens=self._noise(index, regions_of(canvas, boxes).tokens, self._channels),
            prompt="",
            text=self._noise(index, self._text, self._joint),
            pooled=self._noise(index, self._pooled),
        )

    @staticmethod
    def _noise(seed: int, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).half()


class Trainer:
    """Steps of adapters on a random transformer."""

    def __init__(self, shape: dict[str, Any], device: torch.device, *, quantized: bool) -> None:
        rank = RANK if shape is FLUX_DEV else 4
        self.config = TrainConfig(
            out="-",
            data=DataConfig(publication="-"),
            cache=CacheConfig(folder="-"),
            lora=LoraConfig(rank=rank, alpha=rank, quantize_base=quantized),
            optimizer=OptimizerConfig(rate=1e-5),
            ema=None,
        )
        self.device = device
        self.transformer = _random_transformer(shape, device)
        self.transformer.gradient_checkpointing = True
        self._parameters = list(TrainedWeights(self.transformer, self.config).parameters.values())
        self._optimizer = build_optimizer(self._parameters, self.config.optimizer)

    def compile(self) -> None:
        """As the trainer compiles."""
        for block in (*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks):
            block.compile(dynamic=True)

    def step(self, batch: TrainingBatch) -> float:
        """Seconds, the device's queue included."""
        self._wait()
        begun = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16):
            velocity = self.transformer(batch.packed.to(self.device))
        losses = class_losses(velocity, batch.questions)
        torch.autograd.backward(summed_loss(losses, self.config.weights.tensor()) / len(batch.questions))
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._wait()
        return time.perf_counter() - begun

    def forget(self) -> None:
        """Lets go of what a step left when memory ended in its middle."""
        self._optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _random_transformer(shape: dict[str, Any], device: torch.device) -> RegionTransformer:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            return RegionTransformer(**shape)
    finally:
        torch.set_default_dtype(before)


@dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    shape: dict[str, Any]
    device: torch.device
    sides: Sequence[int]
    text: int
    repeats: int
    peak_tflops: float
    largest: int = LARGEST_BATCH

    def rows(self, bases: Sequence[bool]) -> Iterator[Row]:
        for quantized in bases:
            trainer = Trainer(self.shape, self.device, quantized=quantized)
            fitting: dict[int, int] = {}
            for side in self.sides:
                designs = 1
                while designs <= self.largest:
                    row = self._row(trainer, side, designs, quantized, compiled=False)
                    yield row
                    if row.seconds is None:
                        break
                    fitting[side], designs = designs, 2 * designs
            trainer.compile()
            for side, most in fitting.items():
                for designs in sorted({1, most}):
                    yield self._row(trainer, side, designs, quantized, compiled=True)
            del trainer
            gc.collect()

    def _row(self, trainer: Trainer, side: int, designs: int, quantized: bool, *, compiled: bool) -> Row:
        source = RandomDesigns(self.shape, side, self.text, designs)
        guidance = GUIDANCE if self.shape.get("guidance_embeds") else None
        batch = training_batch(source, range(designs), 0, trainer.config, Shift(), guidance)
        forward = sum(forward_flops(trainer.transformer.config, *lengths) for lengths in batch.joint_lengths)
        tflop = TRAINING_FORWARDS * forward / 1e12
        base = "8 bits" if quantized else "bfloat16"
        on_gpu = self.device.type == "cuda"
        try:
            trainer.step(batch)  # warm-up, and compilation
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            seconds = median(trainer.step(batch) for _ in range(self.repeats))
        except torch.cuda.OutOfMemoryError:
            seconds = None
        if seconds is None:
            trainer.forget()
            return Row(side, base, compiled, designs, batch.tokens, None, tflop, None, None)
        peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
        mfu = tflop / seconds / self.peak_tflops
        return Row(side, base, compiled, designs, batch.tokens, seconds, tflop, mfu, peak)


def line_of(row: Row) -> str:
    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return (
        f"{row.side:>5} {row.base:<9} {'yes' if row.compiled else 'no':<8} {row.designs:>7} {row.tokens:>7} "
        f"{shown(row.seconds, '.3f'):>8} {shown(row.mfu, '.1%'):>6} {shown(row.peak_gib, '.1f'):>6}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float, default=989, help="dense bf16 peak (H100, H200: 989)")
    parser.add_argument("--dry-run", action="store_true", help="a tiny shape, on a CPU too")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if given.dry_run:
        bench = Bench(TINY, device, (32, 64), 16, 1, given.peak_tflops, largest=2)
    else:
        bench = Bench(FLUX_DEV, device, given.sides, 512, given.repeats, given.peak_tflops)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    bases = (False, True) if importlib.util.find_spec("torchao") else (False,)
    print(f"{name}, torch {torch.__version__}" + ("" if True in bases else "; without torchao no base in 8 bits"))
    print("side  base      compiled designs  tokens  seconds    MFU    GiB")
    measured: list[Row] = []
    for row in bench.rows(bases):
        measured.append(row)
        print(line_of(row), flush=True)
        if given.json:
            document = {"device": name, "torch": torch.__version__, "rows": [asdict(each) for each in measured]}
            given.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
