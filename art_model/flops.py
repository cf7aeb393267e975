"""How many operations a transformer's products take: what speed is measured against."""

from __future__ import annotations

import torch

from art_model.transformer import TransformerConfig

TRAINING_FORWARDS = 3
"""A forward and its backward cost as much as so many forwards; freezing weights saves part of that, which is not
counted, as is usual for the model FLOPs utilisation."""

_PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "4090": 165e12,
    "3090": 71e12,
}
"""Of dense bf16 products per second, by a part of the device's name, from the makers' data sheets."""


def forward_flops(config: TransformerConfig, tokens: int, text: int, pairs: int | None = None) -> float:
    """Multiplications and additions in products of one sample's forward; modulation, which is per sample, left out.

    Linear layers cost 24 d² a token and block, attention 4 d for each pair of tokens and block.

    Args:
        tokens, text: of the regions and of the prompt.
        pairs: of tokens that see each other; None for all of the sample's.
    """
    width, joint = config.width, tokens + text
    seen = joint**2 if pairs is None else pairs
    blocks = config.num_layers + config.num_single_layers
    ends = (
        tokens * (config.in_channels + (config.out_channels or config.in_channels)) + text * config.joint_attention_dim
    )
    return blocks * (24 * joint * width**2 + 4 * seen * width) + 2 * ends * width


def peak_flops(device: torch.device) -> float | None:
    """Operations per second that a device promises in bf16; None where nobody knows."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)
