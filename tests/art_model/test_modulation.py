"""Modulation rows: computed once, taken by tokens, with the gradient that adding up would give."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.modulation import Modulation, modulated, sinusoids, take_rows
from art_model.packing import pack
from art_model.regions import regions_of
from layered.torchvision_cure import ensure_torchvision
from tests.art_model.random_designs import SMALL, random_sample, random_transformer


@settings(deadline=None)
@given(st.integers(2, 6), st.lists(st.integers(0, 1), min_size=1, max_size=20))
def test_rows_and_their_gradient_are_those_of_indexing(count: int, rows: list[int]) -> None:
    index = torch.tensor(rows)
    table = torch.randn(count, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(len(rows), 3, dtype=torch.float64)
    (ours,) = torch.autograd.grad((take_rows(table, index) * weight).sum(), table)
    (theirs,) = torch.autograd.grad((table[index] * weight).sum(), table)
    assert torch.equal(take_rows(table, index), table[index])
    torch.testing.assert_close(ours, theirs)


def test_one_row_is_not_copied_to_every_token() -> None:
    table = torch.randn(1, 6)
    assert take_rows(table, torch.zeros(1000, dtype=torch.int64)).data_ptr() == table.data_ptr()


def test_modulated_is_a_layer_norm_scaled_and_shifted() -> None:
    hidden, shift, scale = torch.randn(3, 5, 8, dtype=torch.float64)
    centred = hidden - hidden.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(modulated(hidden, shift, scale), normed * (1 + scale) + shift)


def test_parts_come_in_order() -> None:
    modulation = Modulation(4, 3)
    embedding = torch.randn(2, 4)
    parts = modulation(embedding, torch.tensor([1, 0, 1]))
    assert torch.allclose(torch.cat(parts, -1), modulation.linear(embedding)[[1, 0, 1]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sinusoids_are_those_of_diffusers(dtype: torch.dtype) -> None:
    ensure_torchvision()
    from diffusers.models.embeddings import Timesteps

    times = torch.rand(20, dtype=dtype)
    theirs = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)(times * 1000).to(dtype)
    assert torch.equal(sinusoids(times, dtype), theirs)


def test_times_keep_their_precision_in_a_model_of_half_precision() -> None:
    times = torch.tensor([0.7, 0.7003])
    first, second = sinusoids(times, torch.bfloat16)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("embeds", "given_guidance"), [(True, None), (False, 3.5)])
def test_guidance_comes_exactly_where_it_is_embedded(embeds: bool, given_guidance: float | None) -> None:
    transformer = random_transformer(guidance_embeds=embeds)
    sample = random_sample(SMALL, regions_of((16, 16), []), time=0.5, seed=1)
    with pytest.raises(ValueError, match="guidance embedding: pack the batch accordingly"):
        transformer(pack([sample], guidance=given_guidance))
