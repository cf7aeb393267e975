"""Immiscible noise on handwritten digits: four ways to choose noise, and how few sampling steps then suffice.

    python -m benchmarks.immiscible_digits

A small MLP learns rectified flow on scikit-learn's digits (64 values each), without and with the digit's class as
condition. Measured is the Fréchet distance, in pixels, of as many samples as there are digits, after 2, 5 and 30 Euler
steps: never a training loss, which the choice of noise lowers by itself. Choosing is done by `art_model/noise.py`.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from art_model.noise import NoiseKind, assigned, nearest
from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results" / "immiscible_digits.json"
KINDS: tuple[NoiseKind, ...] = ("independent", "best_of_k", "assignment", "c2ot")
CANDIDATES = 4
CONDITION_WEIGHT = 100.0  # classes are never mixed, as C²OT has it for labels
BATCH, STEPS, RATE, WIDTH = 256, 1600, 1e-3, 256
EULER_STEPS = (2, 5, 30)
CLASSES = 10
NO_CLASS = CLASSES


@dataclass(frozen=True)
class Row:
    """One trained network; `distances` are Fréchet distances by the number of Euler steps."""

    conditional: bool
    noise: NoiseKind
    seed: int
    distances: dict[int, float]
    seconds: float


class Velocity(nn.Module):
    """An MLP of pixels ``[n, 64]``, times ``[n]`` and classes ``[n]``, of which `NO_CLASS` says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Embedding(CLASSES + 1, 32)
        self.layers = nn.Sequential(
            nn.Linear(64 + 32 + 32, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(),
            nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 64),
        )  # fmt: skip

    def forward(self, noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        angles = times[:, None] * torch.pi * 2 ** torch.linspace(-1, 5, 16)
        found: Tensor = self.layers(torch.cat([noisy, angles.sin(), angles.cos(), self.classes(labels)], 1))
        return found


def digits() -> tuple[Tensor, Tensor]:
    """Pixels ``[1797, 64]`` in −1…1, and classes."""
    found = load_digits()
    return torch.tensor(found.data / 8 - 1).float(), torch.tensor(found.target)


def noise_for(data: Tensor, labels: Tensor, kind: NoiseKind, generator: torch.Generator) -> Tensor:
    """Noise ``[n, 64]`` for a batch."""
    if kind == "best_of_k":
        candidates = torch.randn(len(data), CANDIDATES, 64, generator=generator)
        return candidates[torch.arange(len(data)), nearest(data, candidates)]
    noise = torch.randn(data.shape, generator=generator)
    if kind == "independent":
        return noise
    conditions = torch.nn.functional.one_hot(labels, CLASSES + 1).float() if kind == "c2ot" else None
    return noise[assigned(data, noise, conditions, CONDITION_WEIGHT)]


def trained(kind: NoiseKind, conditional: bool, seed: int, steps: int) -> Velocity:
    """A network after so many steps."""
    data, labels = digits()
    torch.manual_seed(seed)
    model = Velocity()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(data), (BATCH,), generator=generator)
        own = labels[chosen] if conditional else torch.full((BATCH,), NO_CLASS)
        noise = noise_for(data[chosen], own, kind, generator)
        times = torch.rand(BATCH, generator=generator)
        noisy = torch.lerp(data[chosen], noise, times[:, None])
        loss = (model(noisy, times, own) - (noise - data[chosen])).square().mean()
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
    return model


@torch.inference_mode()
def sampled(model: Velocity, labels: Tensor, steps: int, seed: int) -> Tensor:
    """Samples ``[n, 64]`` of classes, by Euler steps from independent noise."""
    values = torch.randn(len(labels), 64, generator=torch.Generator().manual_seed(1000 + seed))
    moments = torch.linspace(1, 0, steps + 1)
    for moment, following in itertools.pairwise(moments):
        values = values + (following - moment) * model(values, moment.expand(len(labels)), labels)
    return values


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Between normal distributions fitted to two sets ``[n, d]`` (Heusel et al. 2017, arXiv 1706.08500)."""
    (first, second) = (values.double().numpy() for values in (one, other))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # The trace of the root of a product; corners that are always blank make it singular, where matrix roots fail.
    root = np.sqrt(np.linalg.eigvals(a @ b).real.clip(0)).sum()
    return float(np.square(first.mean(0) - second.mean(0)).sum() + np.trace(a + b) - 2 * root)


def measure(kind: NoiseKind, conditional: bool, seed: int, steps: int) -> Row:
    begun = time.perf_counter()
    model = trained(kind, conditional, seed, steps)
    data, labels = digits()
    asked = labels if conditional else torch.full_like(labels, NO_CLASS)
    distances = {count: round(frechet_distance(sampled(model, asked, count, seed), data), 3) for count in EULER_STEPS}
    return Row(conditional, kind, seed, distances, round(time.perf_counter() - begun, 1))


def table(rows: Sequence[Row]) -> str:
    """Markdown of means over seeds, with the seeds' values behind them."""
    lines = [
        "| condition | noise | " + " | ".join(f"{steps} steps" for steps in EULER_STEPS) + " |",
        "|---|---|" + "---|" * len(EULER_STEPS),
    ]
    for conditional, kind in dict.fromkeys((row.conditional, row.noise) for row in rows):
        own = [row for row in rows if (row.conditional, row.noise) == (conditional, kind)]
        cells = []
        for steps in EULER_STEPS:
            values = [row.distances[steps] for row in own]
            cells.append(f"{mean(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})")
        lines.append(f"| {'class' if conditional else 'none'} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help="of training; fewer for a trial")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(arguments.seeds):
        for conditional in (False, True):
            for kind in KINDS if conditional else KINDS[:3]:  # without a condition C²OT is assignment
                rows.append(measure(kind, conditional, seed, arguments.steps))
                print(rows[-1], flush=True)
    print(table(rows))
    facts = {"machine": machine(), "steps": arguments.steps, "batch": BATCH, "rows": [asdict(row) for row in rows]}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
