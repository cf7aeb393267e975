"""Training of the artifact network on rendered views, and what it reaches on views it did not see."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from filters.artifact_network import ArtifactNetwork
from filters.artifacts import KINDS
from models.recipes.artifact_data import SOURCE_NAMES, UNKNOWN, Pictures, without_raw
from models.recipes.training_state import NAME, load_state, save_state

BATCH: Final = 64
RATE: Final = 2e-3
_WARM_UP: Final = 100
_AVERAGE: Final = 0.997
_RAW_DROPPED: Final = 0.2
_CRISP: Final = 0.35
_BETWEEN_SAVES: Final = 60.0

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def train(
    network: ArtifactNetwork,
    pictures: Pictures,
    minutes: float,
    folder: Path,
    rate: float = RATE,
    weights: Tensor | None = None,
    frozen_statistics: bool = False,
    seed: int = 62,
) -> ArtifactNetwork:
    """Trains until `minutes` of one core are spent, all in all, and returns the averaged network.

    Args:
        folder: where the training's state is kept; an interrupted training goes on.
        weights: how often each picture is drawn, relative to the others; all alike by default.
        seed: of the order of pictures and their changes.
        frozen_statistics: leaves the normalisation as it is, for fine-tuning on few pictures.
    """
    laid_out: Any = network  # torch's types lack this overload
    laid_out.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.02, fused=True)
    step, spent = load_state(folder, network, average, [optimizer]) if (folder / NAME).exists() else (0, 0.0)
    rng = torch.Generator().manual_seed(seed + step)
    chances = torch.ones(len(pictures)) if weights is None else weights
    begun = saved = time.process_time()
    losses: list[float] = []
    network.train(not frozen_statistics)
    while (now := spent + time.process_time() - begun) < minutes * 60:
        progress = now / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / _WARM_UP) * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
        chosen = pictures.select(torch.multinomial(chances, BATCH, replacement=True, generator=rng))
        inputs, labels = augmented(chosen, rng)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*inputs)
        loss = known_loss(logits.float(), labels)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        _follow(average, network, min(_AVERAGE, step / (step + 10)))
        losses.append(loss.item())
        if step % 200 == 0:
            print(f"step {step} {now:.0f} s loss {np.mean(losses[-200:]):.4f}", flush=True)
        if time.process_time() - saved > _BETWEEN_SAVES:
            save_state(folder, network, average, [optimizer], step, now)
            saved = time.process_time()
    save_state(folder, network, average, [optimizer], step, max(spent, minutes * 60))
    return average


def known_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels ``[n, kinds + 1]`` that are known."""
    known = labels != UNKNOWN
    losses = F.binary_cross_entropy_with_logits(logits, (labels == 1).float(), reduction="none")
    mean: Tensor = (losses * known).sum() / known.sum().clamp_min(1)
    return mean


def augmented(pictures: Pictures, rng: torch.Generator) -> tuple[Inputs, Tensor]:
    """A batch as the network takes it: mirrored, in other colours and light, some crisper, some without their raw; and
    its labels."""
    count = len(pictures)
    labels = pictures.labels.clone()
    blind = torch.rand(count, generator=rng) < _RAW_DROPPED
    labels[blind] = without_raw(labels[blind])
    known = pictures.known.float() * ~blind
    # Mirrored letters are garbled ones.
    lettered = pictures.source == SOURCE_NAMES.index("text")
    mirror = (torch.rand(count, generator=rng) < 0.5) & ~lettered
    # The same change of colours for the layer, its drawing and the background.
    order = torch.argsort(torch.rand(count, 3, generator=rng), dim=1)
    order = torch.where((torch.rand(count, 1, generator=rng) < 0.3), order, torch.arange(3))
    gain = 1 + 0.2 * (torch.rand(count, 1, generator=rng) - 0.5) + 0.1 * (torch.rand(count, 3, generator=rng) - 0.5)
    change = torch.zeros(count, 4, 4)
    change[:, :3, :3].scatter_(1, order[:, None], gain[:, None])
    change[:, 3, 3] = 1
    picture = _recolored(pictures.picture, mirror, change)
    # What was reduced from large photographs is crisper than what is rendered small.
    crisp = torch.nonzero((torch.rand(count, generator=rng) < _CRISP) & (labels[:, KINDS.index("blur")] != 1))[:, 0]
    colors = picture[crisp, :3]
    detail = colors - F.avg_pool2d(colors, 3, 1, 1)
    picture[crisp, :3] = (colors + detail * (0.2 + 1.3 * torch.rand(len(crisp), 1, 1, 1, generator=rng))).clamp_min(0)
    frame = _recolored(pictures.frame, mirror, change[:, :3, :3])
    background = torch.einsum("nc,nck->nk", pictures.background.float() / 255, change[:, :3, :3])
    return (torch.minimum(picture, picture[:, 3:]), frame.clamp_max(1), background.clamp_max(1), known), labels


def _recolored(pixels: Tensor, mirror: Tensor, change: Tensor) -> Tensor:
    """Pixels ``[n, h, w, c]`` in 0…255, some mirrored, as ``[n, c, h, w]`` in 0…1 multiplied by matrices."""
    turned = pixels.clone()
    turned[mirror] = pixels[mirror].flip(2)
    recolored = torch.bmm(turned.flatten(1, 2).float(), change / 255).view(pixels.shape)
    return recolored.permute(0, 3, 1, 2)


def inputs_of(pictures: Pictures) -> Inputs:
    """All pictures as the network takes them."""
    return (
        pictures.picture.permute(0, 3, 1, 2).float() / 255,
        pictures.frame.permute(0, 3, 1, 2).float() / 255,
        pictures.background.float() / 255,
        pictures.known.float(),
    )


@torch.inference_mode()
def logits_of(network: ArtifactNetwork, pictures: Pictures) -> NDArray[np.float64]:
    """``[n, kinds + 1]`` in float32 arithmetic."""
    network.eval()
    found = [
        network(*inputs_of(pictures.select(torch.arange(start, min(start + 256, len(pictures))))))
        for start in range(0, len(pictures), 256)
    ]
    logits: NDArray[np.float64] = torch.cat(found).double().numpy()
    return logits


def area_under_roc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """How often a positive's value is above a negative's, ties counted half (Mann & Whitney 1947)."""
    both = np.concatenate([positive, negative])
    _, places, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def areas(network: ArtifactNetwork, pictures: Pictures) -> Mapping[str, float]:
    """Area under the ROC curve per kind: samples broken by it against sound ones; `any` for all of them."""
    logits, labels = logits_of(network, pictures), pictures.labels.numpy()
    sound = labels[:, -1] == 0
    found = {}
    for column, kind in enumerate((*network.kinds, "any")):
        broken = labels[:, column] == 1
        possible = sound & (labels[:, column] == 0)
        if broken.any() and possible.any():
            found[kind] = area_under_roc(logits[broken, column], logits[possible, column])
    return found


def _follow(average: ArtifactNetwork, network: ArtifactNetwork, share: float) -> None:
    """Moves the averaged weights and statistics towards the network's."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - share)
        else:
            mean.copy_(value)
