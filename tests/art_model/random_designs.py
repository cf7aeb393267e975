"""Random small transformers and layouts, and diffusers' transformer as their oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from art_model.packing import TokenSample
from art_model.regions import Regions, regions_of
from art_model.transformer import RegionTransformer
from layered import Box
from layered.torchvision_cure import ensure_torchvision


@st.composite
def boxes(draw: st.DrawFn, side: int = 96) -> Box:
    """Anywhere about a canvas of that side, also across its borders and outside."""
    x0, y0 = draw(st.integers(-side, side)), draw(st.integers(-side, side))
    return Box(x0, y0, x0 + draw(st.integers(1, side)), y0 + draw(st.integers(1, side)))


@st.composite
def layouts(draw: st.DrawFn, side: int = 96, layers: int = 4) -> Regions:
    canvas = (draw(st.integers(1, side)), draw(st.integers(1, side)))
    return regions_of(canvas, draw(st.lists(boxes(side), max_size=layers)))


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Sizes that keep a forward within milliseconds."""
    axes = (2 * draw(st.integers(1, 2)), 2 * draw(st.integers(1, 3)), 2 * draw(st.integers(1, 3)))
    return {
        "in_channels": 4 * draw(st.integers(1, 3)),
        "num_layers": draw(st.integers(1, 2)),
        "num_single_layers": draw(st.integers(1, 2)),
        "attention_head_dim": sum(axes),
        "num_attention_heads": draw(st.integers(1, 3)),
        "joint_attention_dim": draw(st.integers(1, 12)),
        "pooled_projection_dim": draw(st.integers(1, 12)),
        "guidance_embeds": draw(st.booleans()),
        "axes_dims_rope": axes,
    }


SMALL: dict[str, Any] = {
    "in_channels": 8,
    "num_layers": 2,
    "num_single_layers": 2,
    "attention_head_dim": 12,
    "num_attention_heads": 2,
    "joint_attention_dim": 10,
    "pooled_projection_dim": 6,
    "axes_dims_rope": (4, 4, 4),
}


def random_transformer(seed: int = 0, **config: Any) -> RegionTransformer:
    """In double precision, every parameter random: freshly made norms and zeros would hide mistakes."""
    transformer = RegionTransformer(**{**SMALL, **config}).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in transformer.parameters():
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return transformer


def random_sample(
    config: dict[str, Any], regions: Regions, *, time: float | Tensor, seed: int, text: int = 5
) -> TokenSample:
    """A design's tokens and a prompt of noise, in double precision."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return TokenSample(
        tokens=noise(regions.tokens, config["in_channels"]),
        positions=regions.positions(),
        times=time if isinstance(time, Tensor) else torch.tensor(time, dtype=torch.float64),
        text=noise(text, config["joint_attention_dim"]),
        pooled=noise(config["pooled_projection_dim"]),
    )


def times_by_region(regions: Regions, times: Sequence[float]) -> Tensor:
    """One time per region as one per token."""
    return torch.tensor(times, dtype=torch.float64).repeat_interleave(torch.tensor(regions.lengths))


def samples_of(
    config: dict[str, Any], designs: Sequence[Regions], times: Sequence[float], seed: int
) -> list[TokenSample]:
    """Samples with prompts of different lengths."""
    return [
        random_sample(config, regions, time=time, seed=seed + index, text=1 + index)
        for index, (regions, time) in enumerate(zip(designs, times, strict=True))
    ]


def oracle_transformer(config: dict[str, Any]) -> nn.Module:
    """diffusers' transformer in double precision."""
    ensure_torchvision()
    from diffusers import FluxTransformer2DModel

    oracle: nn.Module = FluxTransformer2DModel(**config).double().eval()
    return oracle


@torch.no_grad()
def oracle_velocity(oracle: nn.Module, sample: TokenSample, guidance: float | None) -> Tensor:
    """What diffusers' transformer makes of one sample with one time."""
    dtype = sample.tokens.dtype
    velocity: Tensor = oracle(
        hidden_states=sample.tokens[None],
        encoder_hidden_states=sample.text[None],
        pooled_projections=sample.pooled[None],
        timestep=torch.as_tensor(sample.times, dtype=dtype)[None],
        img_ids=sample.positions.to(dtype),
        txt_ids=torch.zeros(len(sample.text), 3, dtype=dtype),
        guidance=None if guidance is None else torch.tensor([guidance], dtype=dtype),
    ).sample[0]
    return velocity


@contextmanager
def exact_rotations() -> Iterator[None]:
    """Lets diffusers rotate in double precision, where by itself it rounds to single."""
    from diffusers.models.transformers import transformer_flux

    def table(dim: int, pos: Tensor, theta: float, **_: Any) -> tuple[Tensor, Tensor]:
        frequencies = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles = torch.outer(pos.double(), frequencies).repeat_interleave(2, 1)
        return angles.cos(), angles.sin()

    def apply(x: Tensor, freqs_cis: tuple[Tensor, Tensor], sequence_dim: int) -> Tensor:
        assert sequence_dim == 1
        cos, sin = (part[None, :, None] for part in freqs_cis)
        turned_by_90_degrees = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
        return x * cos + turned_by_90_degrees * sin

    with (
        patch.object(transformer_flux, "get_1d_rotary_pos_embed", table),
        patch.object(transformer_flux, "apply_rotary_emb", apply),
    ):
        yield
