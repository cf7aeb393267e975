"""How long a training step waits for its data: batches out of the cache against the step they are made for.

Designs with files as large as those of photographs are published, encoded once and then trained on by the tiny ART with
AdamW in bfloat16. A batch is read, its questions are asked with their noise, and it is packed; the trainer does that in
a thread while the step before is computed. Both are timed: what the thread does by itself, and what the step still
waits for. The first epoch reads every entry for the first time and checks its hash; the others do not.

    python -m benchmarks.data_wait [--designs 240] [--side 128] [--layers 4] [--tokens 4096] [--epochs 4] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from art_model.batching import BatchOrder
from art_model.cache_building import CacheConfig, build_cache
from art_model.caching import DesignCache
from art_model.checkpoint import load_transformer, read_settings
from art_model.dataset import DataConfig, LayeredDataset
from art_model.objective import class_losses, summed_loss
from art_model.train_config import TrainConfig
from art_model.training_batches import Prefetcher, TrainingBatch, training_batch
from benchmarks.machine import machine
from benchmarks.shards import make_samples
from models import TINY
from shards.writer import ShardConfig, write_publication

WANTED = 0.05


@dataclass(frozen=True)
class Wait:
    """The steps of one epoch or of some.

    Attributes:
        first: whether entries are read for the first time and checked.
        tokens: median of a batch.
        making: median of the seconds to read a batch and make it ready, in the training's own thread.
        step: median of the seconds of forward, backward and optimiser, while nothing else is done.
        waited: mean of the seconds that a step waits for the thread that makes its batch.
        share: of the time of all steps that is spent waiting.
    """

    first: bool
    tokens: int
    making: float
    step: float
    waited: float
    share: float


def measure(folder: Path, designs: int, side: int, layers: int, tokens: int, epochs: int) -> list[Wait]:
    """Publishes and caches designs below `folder`, then trains `epochs` epochs twice: in turns, and side by side."""
    samples = make_samples(designs, side, layers)
    write_publication(samples, folder / "set", ShardConfig())
    data = DataConfig(publication=str(folder / "set"))
    config = TrainConfig(
        model=str(TINY), out=str(folder / "out"), data=data, cache=CacheConfig(folder=str(folder)), tokens=tokens
    )
    cache = build_cache(LayeredDataset.open(data), TINY, config.cache, device="cpu")
    waits = []
    for first in (True, False):
        order = BatchOrder(cache.lengths, config.seed, tokens)
        ends = [sum(len(order.epoch(number).steps) for number in range(end)) for end in range(epochs + 1)]
        places = range(ends[1]) if first else range(ends[1], ends[epochs])
        waits.append(_measure(cache, order, places, config, first=first))
    return waits


def _measure(cache: DesignCache, order: BatchOrder, places: range, config: TrainConfig, *, first: bool) -> Wait:
    settings = read_settings(TINY)
    making, steps, tokens = [], [], []
    train = _Step(config)
    for index, place in enumerate(places):
        begun = time.perf_counter()
        batch = training_batch(cache, order.at(place).batches[0], place, config, settings.shift, settings.guidance)
        made = time.perf_counter()
        train(batch)
        if index or len(places) == 1:  # the first step also allocates
            making.append(made - begun)
            steps.append(time.perf_counter() - made)
            tokens.append(batch.tokens)
    waited, whole = _side_by_side(_fresh(cache) if first else cache, order, places, config, train)
    return Wait(first, round(median(tokens)), median(making), median(steps), waited / len(places), waited / whole)


def _side_by_side(
    cache: DesignCache, order: BatchOrder, places: range, config: TrainConfig, train: _Step
) -> tuple[float, float]:
    """Seconds waited and seconds in all, from when the first batch is there: it alone has no step to be made beside."""
    settings = read_settings(TINY)
    wanted = ((place, order.at(place).batches[0]) for place in places)
    batches: Iterator[TrainingBatch] = Prefetcher(cache, config, settings.shift, settings.guidance).batches(wanted)
    batch, waited = next(batches), 0.0
    begun = time.perf_counter()
    train(batch)
    for _ in places[1:]:
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        train(batch)
    return waited, time.perf_counter() - begun


def _fresh(cache: DesignCache) -> DesignCache:
    """The same cache with everything still to be checked."""
    return DesignCache.open(cache.folder, cache.key)


class _Step:
    """Forward, backward and optimiser of the tiny ART, all of which is trained."""

    def __init__(self, config: TrainConfig) -> None:
        settings = read_settings(TINY)
        self.transformer = load_transformer(settings.folder_of("transformer", TINY / "art")).float()
        self.optimizer = torch.optim.AdamW(self.transformer.parameters(), lr=1e-6, fused=True)
        self.weights = config.weights.tensor()

    def __call__(self, batch: TrainingBatch) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            velocity = self.transformer(batch.packed)
        losses = class_losses(velocity, batch.questions)
        torch.autograd.backward(summed_loss(losses, self.weights) / len(batch.questions))
        self.optimizer.step()
        self.optimizer.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=240)
    parser.add_argument("--side", type=int, default=128, help="of the canvas, in pixels")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=4096, help="of a batch")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        waits = measure(
            Path(folder), arguments.designs, arguments.side, arguments.layers, arguments.tokens, arguments.epochs
        )
    table = Table(title=f"{arguments.designs} designs, {arguments.side}², {arguments.layers} layers; {machine()}")
    for heading in ("epochs", "tokens", "making a batch, s", "step, s", "waits, s", "share", f"≤ {WANTED:.0%}"):
        table.add_column(heading, justify="right")
    for wait in waits:
        reached = "yes" if wait.share <= WANTED else "no"
        name = "the first" if wait.first else "later ones"
        seconds = (f"{value:.4f}" for value in (wait.making, wait.step, wait.waited))
        table.add_row(name, str(wait.tokens), *seconds, f"{wait.share:.1%}", reached)
    Console().print(table)
    if arguments.json:
        document = {"machine": machine(), "unit": "s", "wanted": WANTED, "rows": [asdict(wait) for wait in waits]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
