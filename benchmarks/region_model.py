"""What the benchmarks of region crop share: a small transformer, its inputs, its FLOPs, the rate of a product."""

from __future__ import annotations

import time
from typing import Any, Literal

import torch
from torch import Tensor

from art_model import flops
from art_model.packing import TokenSample
from art_model.transformer import TransformerConfig

Attention = Literal["region", "full", "spatial+temporal"]

CONFIG: dict[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 64,
    "num_attention_heads": 4,
    "joint_attention_dim": 256,
    "pooled_projection_dim": 256,
    "axes_dims_rope": (8, 28, 28),
}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def noise_sample(positions: Tensor, text: int, config: TransformerConfig, dtype: torch.dtype) -> TokenSample:
    """Noise for tokens and prompt: values do not change the time. On the CPU."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    return TokenSample(
        tokens=noise(len(positions), config.in_channels),
        positions=positions,
        times=0.5,
        text=noise(text, config.joint_attention_dim),
        pooled=noise(config.pooled_projection_dim),
    )


def forward_flops(
    config: TransformerConfig, tokens: int, text: int, attention: Attention = "region", canvases: int = 1
) -> float:
    """`art_model.flops.forward_flops` of a sample of several canvases under another attention."""
    pairs = (tokens + text) ** 2
    if attention == "spatial+temporal":
        places = tokens // canvases
        pairs = canvases * (places + text) ** 2 + places * canvases**2
    return flops.forward_flops(config, tokens, text, pairs)


def matmul_rate(dtype: torch.dtype) -> float:
    """FLOP/s of a product of 4096 × 1024 and 1024 × 1024, best of several: what a library reaches in one piece."""
    left, right = torch.randn(4096, 1024).to(dtype), torch.randn(1024, 1024).to(dtype)
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    return 2 * 4096 * 1024 * 1024 / min(seconds)
