"""Latents become tokens and come back; samples of unequal length share a batch."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.packing import TokenSample, latents_to_tokens, pack, tokens_to_latents
from layered.torchvision_cure import ensure_torchvision

SIZES = st.integers(1, 5)


def sample(tokens: int = 4, text: int = 2, times: float | torch.Tensor = 0.5) -> TokenSample:
    return TokenSample(
        tokens=torch.randn(tokens, 8),
        positions=torch.randint(-3, 9, (tokens, 3)),
        times=times,
        text=torch.randn(text, 6),
        pooled=torch.randn(5),
    )


@settings(deadline=None)
@given(SIZES, SIZES, SIZES)
def test_latents_come_back(channels: int, rows: int, columns: int) -> None:
    latents = torch.randn(channels, 2 * rows, 2 * columns)
    assert torch.equal(tokens_to_latents(latents_to_tokens(latents), rows, columns), latents)


@settings(deadline=None)
@given(SIZES, SIZES, SIZES)
def test_tokens_are_those_of_diffusers(channels: int, rows: int, columns: int) -> None:
    ensure_torchvision()
    from diffusers import FluxPipeline

    latents = torch.randn(1, channels, 2 * rows, 2 * columns)
    theirs = FluxPipeline._pack_latents(latents, 1, channels, 2 * rows, 2 * columns)
    assert torch.equal(latents_to_tokens(latents[0]), theirs[0])


def test_one_row_per_distinct_time_and_text_takes_that_of_the_noised_tokens() -> None:
    held = torch.tensor([0.7, 0.0, 0.7, 0.0, 0.0])
    batch = pack([sample(3, times=0.25), sample(5, text=3, times=held)])
    assert batch.row_times.tolist() == pytest.approx([0.25, 0.0, 0.7])
    assert batch.row_samples.tolist() == [0, 1, 1]
    assert batch.token_rows.tolist() == [0, 0, 0, 2, 1, 2, 1, 1]
    assert batch.text_rows.tolist() == [0, 0, 2, 2, 2]
    assert (batch.image_lengths, batch.text_lengths) == ((3, 5), (2, 3))


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=12))
def test_every_token_finds_its_time(times: list[float]) -> None:
    batch = pack([sample(2, times=0.9), sample(len(times), times=torch.tensor(times))])
    assert batch.row_times[batch.token_rows].tolist() == pytest.approx([0.9, 0.9, *times])
    assert len(batch.row_times) == 1 + len(set(times))


def test_one_time_for_all_and_the_same_for_each_are_one() -> None:
    one = sample(4, times=0.3)
    each = replace(one, times=torch.full((4,), 0.3))
    for left, right in zip(vars(pack([one])).values(), vars(pack([each])).values(), strict=True):
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def test_padding_keeps_lengths_and_adds_zeros() -> None:
    batch = pack([sample(3), sample(4, times=torch.tensor([0.0, 0.5, 0.5, 0.0]))], guidance=1.0)
    padded = batch.padded(10, 6, 5)
    assert padded.tokens.shape == (10, 8)
    assert padded.positions.shape == (10, 3)
    assert padded.text.shape == (6, 6)
    assert padded.row_times.shape == padded.row_samples.shape == (5,)
    assert padded.guidance is not None
    assert padded.guidance.tolist() == [1, 1, 1, 0, 0]
    assert torch.equal(padded.tokens[:7], batch.tokens)
    assert not padded.tokens[7:].any()
    assert (padded.image_lengths, padded.text_lengths) == (batch.image_lengths, batch.text_lengths)


def test_a_batch_that_is_too_large_for_its_padding_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2, 1\) tokens, text tokens and rows do not fit into \(3, 2, 1\)"):
        pack([sample(4)]).padded(3, 2, 1)


def test_parts_that_do_not_fit_are_refused() -> None:
    good = sample(4)
    with pytest.raises(ValueError, match=r"sample 1: positions \[3, 3\] for 4 tokens"):
        pack([good, replace(good, positions=good.positions[:3])])
    with pytest.raises(ValueError, match=r"sample 0: times \[3\] for 4 tokens"):
        pack([replace(good, times=torch.zeros(3))])
