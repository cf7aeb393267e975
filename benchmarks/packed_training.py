"""A training step on packed samples against one on samples padded to the longest.

The padded batch is given every advantage: no mask (which makes torch leave its fast kernels), and the same transformer
code. What FLOPs allow is the ratio of both batches' counts. Used by `benchmarks/region_attention.py`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from art_model.packing import PackedBatch, pack
from art_model.regions import regions_of
from art_model.transformer import RegionTransformer, TransformerConfig
from benchmarks.region_layouts import drawn_boxes, drawn_layer_count
from benchmarks.region_model import CONFIG, PRECISIONS, forward_flops, noise_sample
from layered.arrays import Size

Lengths = tuple[int, int]
"""Image and text tokens of a sample."""

BATCHES = (8, 32)
REPEATS = 2
SHORTEST_TEXT, LONGEST_TEXT = 48, 128
ASPECTS = ((1, 1), (4, 3), (3, 4), (16, 9), (9, 16))


@dataclass(frozen=True)
class Step:
    """One batch; seconds are medians over whole steps: forward, backward, optimiser.

    Attributes:
        mixed: whether the samples' canvases have different aspect ratios and sizes.
        gain: padded over packed seconds.
        allowed: padded over packed FLOPs.
        share: gain over allowed.
    """

    batch: int
    mixed: bool
    packed_tokens: int
    padded_tokens: int
    packed_seconds: float
    padded_seconds: float
    gain: float
    allowed: float
    share: float


def run(canvas: int, threads: int, precision: str, batches: Sequence[int] = BATCHES) -> list[Step]:
    torch.set_num_threads(threads)
    return [measure(batch, canvas, precision, mixed=mixed) for mixed in (False, True) for batch in batches]


def measure(batch: int, canvas: int, precision: str, *, mixed: bool) -> Step:
    torch.manual_seed(0)
    transformer = RegionTransformer(**CONFIG)
    optimiser = torch.optim.AdamW(transformer.parameters(), fused=True)
    lengths = drawn_lengths(batch, canvas, mixed=mixed)
    longest = max(image for image, _ in lengths), max(text for _, text in lengths)
    packed, padded = batch_of(lengths, transformer.config), batch_of([longest] * batch, transformer.config)

    def step(samples: PackedBatch) -> None:
        with torch.autocast("cpu", PRECISIONS[precision], enabled=precision != "float32"):
            velocity = transformer(samples)
        velocity.float().square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    seconds: dict[str, list[float]] = {"packed": [], "padded": []}
    step(packed)  # warm-up
    for _ in range(REPEATS):  # in turns, so that a change of the machine's speed meets both
        seconds["packed"].append(_seconds(lambda: step(packed)))
        seconds["padded"].append(_seconds(lambda: step(padded)))
    gain = median(seconds["padded"]) / median(seconds["packed"])
    allowed = flops_of([longest] * batch, transformer.config) / flops_of(lengths, transformer.config)
    return Step(
        batch, mixed, len(packed.tokens), len(padded.tokens),
        median(seconds["packed"]), median(seconds["padded"]), gain, allowed, gain / allowed,
    )  # fmt: skip


def drawn_lengths(batch: int, canvas: int, *, mixed: bool) -> list[Lengths]:
    """Image and text tokens of each sample: layers as in PrismLayersPro, canvases of about the same area."""
    generator = np.random.default_rng(batch)
    lengths = []
    for _ in range(batch):
        size = _canvas(canvas, generator) if mixed else (canvas, canvas)
        regions = regions_of(size, drawn_boxes(drawn_layer_count(generator), size, int(generator.integers(2**31))))
        lengths.append((regions.tokens, int(generator.integers(SHORTEST_TEXT, LONGEST_TEXT + 1))))
    return lengths


def _canvas(side: int, generator: np.random.Generator) -> Size:
    """Half to all of the square's area in one of several aspect ratios, in whole tokens."""
    wide, high = ASPECTS[int(generator.integers(len(ASPECTS)))]
    unit = side * (float(generator.uniform(0.5, 1)) / (wide * high)) ** 0.5
    return max(16, round(unit * wide / 16) * 16), max(16, round(unit * high / 16) * 16)


def batch_of(lengths: Sequence[Lengths], config: TransformerConfig) -> PackedBatch:
    return pack([noise_sample(torch.zeros(image, 3), text, config, torch.float32) for image, text in lengths])


def flops_of(lengths: Sequence[Lengths], config: TransformerConfig) -> float:
    """Of the forwards; a step takes three times as many, whatever the lengths."""
    return sum(forward_flops(config, image, text) for image, text in lengths)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def print_steps(steps: Sequence[Step]) -> None:
    print("\nA training step, packed against padded:\n")
    print("| batch | canvases | packed tokens | padded tokens | packed s | padded s | faster | FLOPs allow | share |")
    print("|---|---|---|---|---|---|---|---|---|")
    for step in steps:
        print(
            f"| {step.batch} | {'mixed' if step.mixed else 'one'} | {step.packed_tokens} | {step.padded_tokens} "
            f"| {step.packed_seconds:.2f} | {step.padded_seconds:.2f} | {step.gain:.2f}× | {step.allowed:.2f}× "
            f"| {step.share:.0%} |"
        )
