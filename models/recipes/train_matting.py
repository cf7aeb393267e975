"""Trains the matting network on exact layers over flat colours.

    python -m models.recipes.matting_data            renders the layers, once
    python -m models.recipes.train_matting --minutes 36 [--device cuda]

The same command resumes until the minutes, of one core, are spent. Writes
`models/recipes/checkpoints/matting.safetensors`; with `--export` it only writes the average of the weights to
`models/layerprism-tiny/matting`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models import TINY
from models.recipes.drawings import CHECKPOINTS
from models.recipes.matting_data import POOL, Batch, layer_pool, make_batch
from stages.matting.network import WIDTHS, MattingNetwork

PATH: Final = CHECKPOINTS / "matting.safetensors"
SHIPPED: Final = TINY / "matting"
REVISION: Final = "1"
RATE: Final = 2e-3
HELD_OUT: Final = 150  # layers of the pool, its last, that are never trained on
_SIZES: Final = ((128, 12), (256, 4), (512, 1))  # side and batch size of a step
_SIZE_SHARES: Final = (0.25, 0.5, 0.25)


def matting_loss(found: Tensor, batch: Batch) -> Tensor:
    """Absolute errors of alpha, of its differences between neighbours and at coarser scales, of premultiplied colour,
    and of what is composited again.

    Args:
        found: straight RGBA ``[n, 4, h, w]`` as the network gives it.
    """
    true_alpha = batch.layers[:, 3:]
    alpha = found[:, 3:]
    error = alpha - true_alpha
    loss = error.abs().mean() + 0.5 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
    for scale in (4, 16):
        loss = loss + 0.5 * F.avg_pool2d(error, scale).abs().mean()
    colors = (true_alpha * found[:, :3] - batch.layers[:, :3]).abs().mean()
    again = alpha * found[:, :3] + (1 - alpha) * batch.backgrounds[:, :, None, None]
    return loss + colors + 0.3 * (again - batch.clean).abs().mean()


def train(minutes: float, device: str) -> None:
    torch.manual_seed(51)
    network = MattingNetwork().to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = MattingNetwork().to(device).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    spent, step = 0.0, 0
    if PATH.exists():
        state = load_file(PATH, device=device)
        _load(network, state, "raw.")
        _load(averaged, state, "average.")
        _load_moments(optimizer, network, state)
        spent, step = state["spent"].item(), int(state["step"].item())
    else:
        averaged.load_state_dict(network.state_dict())
    pool = layer_pool()
    trained, held_out = pool[: POOL - HELD_OUT], pool[POOL - HELD_OUT :]
    test = [_on(device, make_batch(held_out, 8, 256, np.random.default_rng([52, number]))) for number in range(6)]
    # The processor's time, so that what runs beside cannot shorten the training.
    begun, saved = time.process_time(), time.time()
    while (now := spent + time.process_time() - begun) < minutes * 60:
        rng = np.random.default_rng([53, step])
        side, count = _SIZES[rng.choice(len(_SIZES), p=_SIZE_SHARES)]
        batch = _on(device, make_batch(trained, count, side, rng))
        progress = now / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 200) * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
        pictures = batch.pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            found = network(pictures, batch.backgrounds)
        loss = matting_loss(found.float(), batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        keep = min(0.998, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - keep)
        if step % 500 == 0:
            print(f"step {step} {now:.0f} s alpha error {held_out_error(averaged, test):.4f}", flush=True)
        if time.time() - saved > 60:
            _save(network, averaged, optimizer, now, step)
            saved = time.time()
    _save(network, averaged, optimizer, max(spent, minutes * 60), step)
    print(f"step {step} alpha error {held_out_error(averaged, test):.4f}")


def held_out_error(network: MattingNetwork, batches: list[Batch]) -> float:
    """Mean absolute alpha error, 0…1."""
    with torch.inference_mode():
        errors = [
            (network(each.pictures, each.backgrounds)[:, 3:].clamp(0, 1) - each.layers[:, 3:]).abs().mean()
            for each in batches
        ]
    return float(torch.stack(errors).mean())


def export() -> None:
    """Writes the averaged weights in half precision, and what the back end needs to know."""
    state = load_file(PATH)
    SHIPPED.mkdir(parents=True, exist_ok=True)
    weights = {
        name.removeprefix("average."): value.to(torch.float16).contiguous()
        for name, value in state.items()
        if name.startswith("average.")
    }
    save_file(weights, SHIPPED / "model.safetensors")
    facts = {"architecture": "MattingNetwork", "widths": list(WIDTHS), "revision": REVISION, "licence": "Apache-2.0"}
    (SHIPPED / "config.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(f"{SHIPPED}: {int(state['step'])} steps, {(SHIPPED / 'model.safetensors').stat().st_size / 1e6:.2f} MB")


def _on(device: str, batch: Batch) -> Batch:
    return Batch(
        batch.pictures.to(device), batch.backgrounds.to(device), batch.layers.to(device), batch.clean.to(device)
    )


def _load(network: MattingNetwork, state: dict[str, Tensor], prefix: str) -> None:
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


def _load_moments(optimizer: torch.optim.Optimizer, network: MattingNetwork, state: dict[str, Tensor]) -> None:
    for name, parameter in network.named_parameters():
        optimizer.state[parameter] = {
            "step": state["step"].float().cpu(),
            "exp_avg": state[f"mean.{name}"],
            "exp_avg_sq": state[f"square.{name}"],
        }


def _save(
    network: MattingNetwork, averaged: MattingNetwork, optimizer: torch.optim.Optimizer, spent: float, step: int
) -> None:
    state: dict[str, Any] = {f"raw.{k}": v for k, v in network.state_dict().items()}
    state |= {f"average.{k}": v for k, v in averaged.state_dict().items()}
    for name, parameter in network.named_parameters():
        state[f"mean.{name}"] = optimizer.state[parameter]["exp_avg"]
        state[f"square.{name}"] = optimizer.state[parameter]["exp_avg_sq"]
    state |= {"spent": torch.tensor(spent, dtype=torch.float64), "step": torch.tensor(step)}
    unfinished = Path(f"{PATH}.tmp")
    save_file({name: value.contiguous() for name, value in state.items()}, unfinished)
    unfinished.replace(PATH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=36)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--export", action="store_true", help="only write the trained weights to the embedded model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.export:
        export()
    else:
        train(arguments.minutes, arguments.device)


if __name__ == "__main__":
    main()
