"""A training on random designs with a tiny transformer, that takes seconds; as a program, to be killed.

python -m tests.art_model.random_training OUT [SETTINGS AS JSON]
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from art_model.caching import CachedDesign
from art_model.checkpoint import ArtSettings
from art_model.regions import regions_of
from art_model.text import PromptEmbedding
from art_model.train_config import TrainConfig
from art_model.trainer import TrainingJob, World, train
from art_model.transformer import RegionTransformer
from layered.box import Box

CHANNELS, JOINT, POOLED = 8, 16, 12


class Designs:
    """A cache in memory."""

    def __init__(self, designs: Sequence[CachedDesign]) -> None:
        self.designs = designs
        self.empty = PromptEmbedding(torch.zeros(1, JOINT).half(), torch.zeros(POOLED).half())

    @property
    def lengths(self) -> list[int]:
        return [len(design.tokens) + len(design.text) for design in self.designs]

    def __len__(self) -> int:
        return len(self.designs)

    def __getitem__(self, index: int, /) -> CachedDesign:
        return self.designs[index]


def random_designs(count: int, seed: int = 0) -> Designs:
    """Designs of two canvases and one to three layers, every third with a text layer on top."""
    source = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source).half()

    designs = []
    for number in range(count):
        canvas = (64, 48) if number % 2 else (48, 48)
        boxes = [Box(5 * index, 10, 5 * index + 30, 45) for index in range(1 + number % 3)]
        kinds = ["image"] * (len(boxes) - 1) + ["text" if number % 3 == 2 else "image"]
        tokens = noise(regions_of(canvas, boxes).tokens, CHANNELS)
        designs.append(
            CachedDesign(
                f"s{number:03d}", 0, canvas, tuple(boxes), tuple(kinds), tokens, f"design {number}",  # type: ignore[arg-type]
                noise(3 + number % 4, JOINT), noise(POOLED),
            )
        )  # fmt: skip
    return Designs(designs)


def random_transformer(**more: Any) -> RegionTransformer:
    """The same random one at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RegionTransformer(
            in_channels=CHANNELS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=JOINT,
            pooled_projection_dim=POOLED,
            axes_dims_rope=(4, 6, 6),
            **more,
        )


def small_config(out: Path, **more: Any) -> TrainConfig:
    """Eight steps, a checkpoint every second, no pictures."""
    values: dict[str, Any] = {
        "out": str(out),
        "data": {"publication": "-"},
        "cache": {"folder": "-"},
        "method": "full",
        "steps": 8,
        "tokens": 150,
        "accumulation": 2,
        "precision": "float32",
        "optimizer": {"rate": 3e-3},
        "schedule": {"kind": "cosine", "warmup": 2},
        "noise": {"kind": "best_of_k", "smallest": 4},
        "validation": {"every": 4, "pictures": 0, "designs": 3, "times": [0.3, 0.8]},
        "checkpoints": {"every": 2, "keep": 2},
        "log": {"every": 2},
    }
    return TrainConfig.model_validate_json(json.dumps(values | more))


def small_job(config: TrainConfig, **transformer: Any) -> TrainingJob:
    """Twelve designs to learn from, three held out; on one thread, which gives the same bits in every process."""
    torch.set_num_threads(1)
    settings = ArtSettings(name="random", revision="0", licence="MIT")
    return TrainingJob(
        config, random_transformer(**transformer), settings, Path("-"), random_designs(12), random_designs(3, 1), {}
    )


def main() -> None:
    """One process of a training; several find each other through a file when RANK and WORLD_SIZE say so."""
    out, rank, size = Path(sys.argv[1]), int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    more = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    if size > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{out}.rendezvous", rank=rank, world_size=size)
    train(small_job(small_config(out, **more)), World(rank, size))
    if size > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
