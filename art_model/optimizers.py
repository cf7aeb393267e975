"""Optimisers by name, and their rate at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from art_model.train_config import OptimizerConfig, ScheduleConfig
from layered.errors import UserError


def build_optimizer(parameters: Sequence[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Raises UserError when the optimiser's library is not installed."""
    options: dict[str, Any] = {"lr": config.rate, "betas": config.betas, "weight_decay": config.weight_decay}
    match config.kind:
        case "adamw":
            return torch.optim.AdamW(parameters, fused=True, **options)
        case "adamw8bit":
            try:
                from torchao.optim import AdamW8bit
            except ImportError as error:
                raise _missing("adamw8bit", "torchao", "quantize") from error
            eight_bit: torch.optim.Optimizer = AdamW8bit(parameters, **options)
            return eight_bit
        case "prodigy":
            try:
                from prodigyopt import Prodigy
            except ImportError as error:
                raise _missing("prodigy", "prodigyopt", "train") from error
            # As CLD's public recipe has it (arXiv 2511.16249); the safeguard keeps the warm-up out of the estimate.
            prodigy: torch.optim.Optimizer = Prodigy(
                parameters, use_bias_correction=True, safeguard_warmup=True, **options
            )
            return prodigy


def rate_at(step: int, steps: int, peak: float, schedule: ScheduleConfig) -> float:
    """The rate of a step, 0 the first, of a training of so many steps; never 0 before the end."""
    rise = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    left = (steps - step) / steps
    match schedule.kind:
        case "constant":
            fall = 1.0
        case "cosine":
            fall = (1 + math.cos(math.pi * (1 - left))) / 2
        case "linear":
            fall = min(1.0, left / schedule.decay)
    return peak * rise * fall


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives all parameters this rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # compiled optimisers read it where it is
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _missing(kind: str, library: str, extra: str) -> UserError:
    return UserError(f"optimizer.kind {kind} needs {library}: pip install 'layerprism[{extra}]', or take adamw")
