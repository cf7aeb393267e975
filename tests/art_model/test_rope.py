"""Positions turn queries and keys as in FLUX: attention sees differences of positions alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.rope import rotary_table, rotated
from layered.torchvision_cure import ensure_torchvision

AXES = (4, 6, 8)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rotation_is_that_of_diffusers(dtype: torch.dtype) -> None:
    ensure_torchvision()
    from diffusers.models.embeddings import apply_rotary_emb
    from diffusers.models.transformers.transformer_flux import FluxPosEmbed

    positions = torch.randint(-40, 90, (50, 3))
    vectors = random(50, 2, sum(AXES)).to(dtype)
    theirs = apply_rotary_emb(vectors[None], FluxPosEmbed(10000, list(AXES))(positions.float()), sequence_dim=1)[0]
    ours = rotated(vectors, rotary_table(positions, AXES))
    assert ours.dtype == dtype
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.02)


@settings(deadline=None)
@given(st.lists(st.integers(-60, 60), min_size=3, max_size=3))
def test_products_do_not_change_when_everything_moves(by: list[int]) -> None:
    positions = torch.tensor([[0, 3, 4], [2, -5, 7]])
    query, key = random(2, 2, 1, sum(AXES))

    def product(moved: torch.Tensor) -> torch.Tensor:
        table = rotary_table(moved, AXES, torch.float64)
        return (rotated(query[None, :, 0], table[:1]) * rotated(key[None, :, 0], table[1:])).sum()

    torch.testing.assert_close(product(positions), product(positions + torch.tensor(by)))


def test_the_compiled_form_is_the_same() -> None:
    table = rotary_table(torch.randint(-9, 9, (12, 3)), AXES)
    vectors = random(12, 2, sum(AXES)).float()
    compiled = torch.compile(rotated, backend="aot_eager")(vectors, table)
    torch.testing.assert_close(compiled, rotated(vectors, table))
