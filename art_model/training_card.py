"""The card of a trained model: what it came from, what it saw, under which licences, how good its loss is."""

from __future__ import annotations

from dataclasses import dataclass

from art_model.checkpoint import ArtSettings
from art_model.train_config import TrainConfig
from art_model.training_state import Progress


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data of a training.

    Attributes:
        publication: the folder's name.
        fingerprint: of the publication.
        digest: hash of the cached designs.
        samples: learnt from, and left out with the reasons, in one line.
        licences: of all layers in it.
    """

    publication: str
    fingerprint: str
    digest: str
    samples: str
    licences: tuple[str, ...]


def licence_of(base: ArtSettings, data: DataFacts) -> str:
    """The base model's licence, and those of the data that are others."""
    return " AND ".join(dict.fromkeys([base.licence, *data.licences]))


def model_card(config: TrainConfig, base: ArtSettings, data: DataFacts, progress: Progress) -> str:
    """A model card as the hub reads it."""
    optimizer, questions = config.optimizer, config.questions
    tags = "".join(f"- {tag}\n" for tag in ("layerprism", "art", config.method))
    rows = "".join(f"| {step} | {loss:.4f} |\n" for step, loss in progress.curve)
    method = (
        f"LoRA of rank {config.lora.rank} and α {config.lora.alpha}, merged; the adapters alone are in `adapter/`"
        if config.method == "lora"
        else "all weights of the transformer"
    )
    losses = f"\n## Held-out loss\n\n| step | loss |\n|---|---|\n{rows}" if progress.curve else ""
    least = f"\nThe least was after step {progress.best}.\n" if progress.best is not None else ""
    return f"""---
license: other
license_name: {licence_of(base, data)}
library_name: layerprism
tags:
{tags}---

# {config.name}

ART fine-tuned on layered designs: `layerprism sample --model` with this folder draws designs layer by layer from a
prompt and boxes.

| | |
|---|---|
| begun with | {base.name}, revision {base.revision}, {base.licence} |
| data | {data.publication}, fingerprint `{data.fingerprint}` |
| samples | {data.samples} |
| licences of the data | {", ".join(data.licences) or "none stated"} |
| trained | {method} |
| steps | {config.steps} of {config.workers.count} × {config.accumulation} batches of at most {config.tokens} tokens |
| optimiser | {optimizer.kind}, rate {optimizer.rate:g}, {config.schedule.kind} after {config.schedule.warmup} steps |
| questions | {questions.text_to_layers:.0%} text → layers, {questions.image_to_layers:.0%} image → layers, \
{questions.layers_to_layers:.0%} layers → layers |
| noise | {config.noise.kind} |
| averaged weights | {"no" if config.ema is None else f"decay {config.ema:g}"} |
| seed | {config.seed} |
{losses}{least}"""
