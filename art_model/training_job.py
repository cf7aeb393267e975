"""From a configuration to what is trained on what, and from trained weights to a model that can be sampled."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import torch

from art_model.cache_building import build_cache
from art_model.caching import DesignCache
from art_model.checkpoint import SETTINGS_FILE, Part, load_transformer, model_folder, read_settings
from art_model.dataset import LayeredDataset
from art_model.encoders import load_prompts, quantize_prompts
from art_model.train_config import TrainConfig
from art_model.trainer import Trained, TrainingJob, World, train
from art_model.training_card import DataFacts, licence_of, model_card
from layered.errors import UserError
from shards.manifest import file_sha256

MODEL: Final = "model"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Cached designs to learn from and, with validation, others."""

    train: DesignCache
    held_out: DesignCache | None
    facts: DataFacts


def prepare_data(config: TrainConfig, device: str = "auto", say: Callable[[str], None] = print) -> TrainingData:
    """Filters the publication and builds the caches that are missing; the encoders are in memory for as long.

    Raises:
        UserError: as `LayeredDataset.open` and `build_cache` do.
    """
    dataset, model = LayeredDataset.open(config.data), Path(config.model)
    say(dataset.report())
    variants, seed = config.variants, config.seed
    cache = build_cache(dataset, model, config.cache, variants=variants, seed=seed, device=device, say=say)
    held_out = None
    if config.validation.every is not None:
        update = {"split": config.validation.split, "samples": config.validation.designs}
        try:
            others = LayeredDataset.open(config.data.model_copy(update=update))
        except UserError as error:
            raise UserError(f"validation.split: {error}; `validation.every: null` goes without") from error
        held_out = build_cache(others, model, config.cache, device=device, say=say)
    facts = DataFacts(
        publication=dataset.publication.place.rpartition("/")[2],
        fingerprint=dataset.publication.fingerprint,
        digest=cache.key.digest,
        samples=f"{len(dataset)} of {len(dataset) + sum(dataset.drops.values())}"
        + "".join(f"; {number} left out: {reason}" for reason, number in dataset.drops.items()),
        licences=tuple(filter(None, dataset.licences)),  # text layers have none
    )
    return TrainingData(cache, held_out, facts)


def run_training(
    config: TrainConfig, data: TrainingData, world: World, say: Callable[[str], None] = print
) -> Path | None:
    """Trains, goes on with, or finds finished a training; its first process writes the model and returns its folder.

    Raises:
        UserError, FailedWorkError: as `art_model.trainer.train` does.
    """
    base = model_folder(Path(config.model))
    settings = read_settings(base)
    transformer_folder = settings.folder_of("transformer", base)
    for cache in (data.train, data.held_out):
        if cache is not None and not cache.key.text_kept:
            encoder = load_prompts(base, device=str(world.device))
            if config.cache.quantize_prompts:
                quantize_prompts(encoder)
            cache.embed_with(encoder)
    job = TrainingJob(
        config=config,
        transformer=load_transformer(transformer_folder),
        settings=settings,
        folder=base,
        train=data.train,
        held_out=data.held_out,
        facts={"designs": data.facts.digest, "base": _hash_of(transformer_folder)},
    )
    trained = train(job, world, say)
    if world.rank == 0:
        return export_model(config, data, trained)
    if config.workers.spread:
        trained.weights.export(None)  # its parts of what the first process writes
    return None


def export_model(config: TrainConfig, data: TrainingData, trained: Trained) -> Path:
    """Writes what `layerprism sample --model` reads: the averaged transformer, `art.json` and a card.

    The parts that were not trained stay where they are and are named relative to the folder. It appears when it is
    whole.
    """
    base = model_folder(Path(config.model))
    settings = read_settings(base)
    target, temporary = Path(config.out) / MODEL, Path(config.out) / f".{MODEL}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    trained.weights.export(temporary, settings.folder_of("transformer", base) if config.lora.quantize_base else None)
    parts = {
        part: os.path.relpath(settings.folder_of(part, base).resolve(), target.resolve())
        for part in get_args(Part)
        if part != "transformer"
    }
    largest = max(max(entry.canvas) for entry in data.train.entries)
    own = settings.model_copy(
        update={
            "name": config.name,
            "revision": _hash_of(temporary / "transformer")[:12],
            "licence": licence_of(settings, data.facts),
            "largest_side": max(settings.largest_side, largest),
            "parts": parts,
        }
    )
    (temporary / SETTINGS_FILE).write_text(own.model_dump_json(by_alias=True, indent=1) + "\n", "utf-8")
    (temporary / "README.md").write_text(model_card(config, settings, data.facts, trained.progress), "utf-8")
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    return target


def device_of(config: TrainConfig) -> str:
    """What encoders run on."""
    return "cuda" if config.workers.gpu else "cpu"


def use_threads(config: TrainConfig) -> None:
    """As many threads as were reserved: more in busy processes are slower, and one gives the same bits everywhere."""
    torch.set_num_threads(config.workers.cpus)


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".safetensors"):
            digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()
