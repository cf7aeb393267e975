"""What packing brings ART+'s own training: its batches against the same ones padded to their longest designs.

Designs of two to six layers are published, encoded once and dealt into batches as a training deals them; each batch is
one step of the embedded ART in bfloat16: forward, loss, backward, AdamW. The padded step takes equally many designs,
all with as many image and text tokens as the largest of the batch. It is given every advantage: no mask, the same
transformer code, and a loss that tells no classes apart. What FLOPs allow is the ratio of both batches' counts.

    python -m benchmarks.art_plus_packing [--designs 240] [--batches 6] [--tokens 4096 8192] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.table import Table

from art_model.batching import BatchOrder
from art_model.cache_building import CacheConfig, build_cache
from art_model.caching import DesignCache
from art_model.checkpoint import load_transformer, read_settings
from art_model.dataset import DataConfig, LayeredDataset
from art_model.flops import forward_flops
from art_model.objective import class_losses, summed_loss
from art_model.packing import PackedBatch
from art_model.train_config import TrainConfig
from art_model.training_batches import TrainingBatch, training_batch
from benchmarks.machine import machine
from benchmarks.packed_training import Lengths, batch_of
from models import TINY
from models.recipes.study_sets import own_samples
from shards.writer import ShardConfig, write_publication

WANTED: Final = 0.9


@dataclass(frozen=True)
class Packing:
    """Batches of one size; seconds and tokens are sums over all of them.

    Attributes:
        budget: tokens that a batch may have.
        designs: of all batches.
        gain: padded over packed seconds.
        allowed: padded over packed FLOPs.
        share: gain over allowed.
    """

    budget: int
    designs: int
    packed_tokens: int
    padded_tokens: int
    packed_seconds: float
    padded_seconds: float
    gain: float
    allowed: float
    share: float


def measure(folder: Path, designs: int, budgets: Sequence[int], batches: int) -> list[Packing]:
    """Publishes and caches designs below `folder`, then times the first batches of an epoch at each budget."""
    write_publication(own_samples(designs), folder / "set", ShardConfig())
    data = DataConfig(publication=str(folder / "set"))
    config = TrainConfig(model=str(TINY), out=str(folder / "out"), data=data, cache=CacheConfig(folder=str(folder)))
    cache = build_cache(LayeredDataset.open(data), TINY, config.cache, device="cpu")
    steps = _Steps(config)
    return [_measure(cache, budget, batches, config, steps) for budget in budgets]


def _measure(cache: DesignCache, budget: int, batches: int, config: TrainConfig, steps: _Steps) -> Packing:
    settings = read_settings(TINY)
    order = BatchOrder(cache.lengths, config.seed, budget)
    made = [
        training_batch(cache, order.at(place).batches[0], place, config, settings.shift, settings.guidance)
        for place in range(min(batches, len(order.epoch(0).steps)))
    ]
    shape = steps.transformer.config
    seconds, flops, tokens = [0.0, 0.0], [0.0, 0.0], [0, 0]
    steps.packed(made[0])  # warm-up
    for batch in made:  # in turns, so that a change of the machine's speed meets both
        lengths = list(batch.joint_lengths)
        longest: Lengths = max(image for image, _ in lengths), max(text for _, text in lengths)
        padded = batch_of([longest] * len(lengths), shape)
        seconds[0] += _seconds(lambda: steps.packed(batch))  # noqa: B023  (called at once)
        seconds[1] += _seconds(lambda: steps.padded(padded))  # noqa: B023
        for column, own in enumerate((lengths, [longest] * len(lengths))):
            flops[column] += sum(forward_flops(shape, *each) for each in own)
            tokens[column] += sum(map(sum, own))
    gain, allowed = seconds[1] / seconds[0], flops[1] / flops[0]
    count = sum(len(batch.questions) for batch in made)
    return Packing(
        budget, count, tokens[0], tokens[1], seconds[0], seconds[1], gain, allowed, gain / allowed
    )  # fmt: skip


class _Steps:
    """Steps of the embedded ART, all of which is trained."""

    def __init__(self, config: TrainConfig) -> None:
        settings = read_settings(TINY)
        self.transformer = load_transformer(settings.folder_of("transformer", TINY / "art")).float()
        self._optimizer = torch.optim.AdamW(self.transformer.parameters(), lr=1e-6, fused=True)
        self._weights = config.weights.tensor()

    def packed(self, batch: TrainingBatch) -> None:
        losses = class_losses(self._velocity(batch.packed), batch.questions)
        self._update(summed_loss(losses, self._weights) / len(batch.questions))

    def padded(self, batch: PackedBatch) -> None:
        self._update(self._velocity(batch).float().square().mean())

    def _velocity(self, batch: PackedBatch) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            velocity: torch.Tensor = self.transformer(batch)
        return velocity

    def _update(self, loss: torch.Tensor) -> None:
        torch.autograd.backward(loss)
        self._optimizer.step()
        self._optimizer.zero_grad()


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=240)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 8192], help="of a batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments.designs, arguments.tokens, arguments.batches)
    table = Table(title=f"ART+'s batches packed and padded; {machine()}")
    headings = (
        "tokens a batch",
        "designs",
        "packed",
        "padded",
        "packed s",
        "padded s",
        "faster",
        "FLOPs allow",
        "share",
    )
    for heading in (*headings, f"≥ {WANTED:.0%}"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            *(str(value) for value in (row.budget, row.designs, row.packed_tokens, row.padded_tokens)),
            *(f"{value:.1f}" for value in (row.packed_seconds, row.padded_seconds)),
            *(f"{value:.2f}×" for value in (row.gain, row.allowed)),
            f"{row.share:.0%}",
            "yes" if row.share >= WANTED else "no",
        )
    Console().print(table)
    if arguments.json:
        document = {"machine": machine(), "unit": "s", "wanted": WANTED, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
