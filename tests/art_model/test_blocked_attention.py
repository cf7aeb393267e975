"""Attention in blocks is torch's attention, forward and backward, also where blocks are cut short."""

from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from art_model import blocked_attention as module
from art_model.attention import Spans, attend
from art_model.blocked_attention import are_scores_bounded, blocked_attention


def random(tokens: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Queries, keys, values and a gradient; queries and keys normed as FLUX's are."""
    generator = torch.Generator().manual_seed(tokens)
    query, key, value, gradient = torch.randn(4, tokens, 3, 8, generator=generator, dtype=torch.float64)
    normed = [F.rms_norm(part, (8,)) for part in (query, key)]
    return [part.to(dtype) for part in (*normed, value, gradient)]


def torchs(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    heads_first = (part.transpose(0, 1) for part in (query, key, value))
    return F.scaled_dot_product_attention(*heads_first).transpose(0, 1)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 12))
def test_values_and_gradients_are_torchs(tokens: int, block: int) -> None:
    *parts, gradient = random(tokens)
    ours, theirs = ([part.clone().requires_grad_() for part in parts] for _ in range(2))
    with patch.object(module, "_BLOCK", block):
        attended = blocked_attention(*ours)
        attended.backward(gradient)
    expected = torchs(*theirs)
    expected.backward(gradient)
    torch.testing.assert_close(attended, expected)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("tokens", [100, 1500])
def test_bfloat16_is_as_near_to_the_truth_as_torchs_own(tokens: int) -> None:
    *exact, gradient = random(tokens)
    rounded = [part.bfloat16() for part in exact]

    def errors(attention: object, parts: list[Tensor]) -> list[Tensor]:
        own = [part.clone().requires_grad_() for part in parts]
        attended = attention(*own)  # type: ignore[operator]
        attended.backward(gradient.to(attended.dtype))
        return [attended.detach(), *(part.grad for part in own if part.grad is not None)]

    truth = errors(torchs, exact)
    ours, theirs = errors(blocked_attention, rounded), errors(torchs, rounded)
    for right, one, other in zip(truth, ours, theirs, strict=True):
        assert (one - right).square().mean() < 6 * (other - right).square().mean()


def test_scores_that_could_leave_the_range_are_told_and_go_another_way() -> None:
    query, key, value, _ = random(20, torch.bfloat16)
    assert are_scores_bounded(query, key)
    assert not are_scores_bounded(query * 30, key)
    spans = Spans(0, 20, (0,), (20,))
    attended = attend(query * 1000, key * 1000, value, spans, "blocked")
    torch.testing.assert_close(attended, torchs(query * 1000, key * 1000, value).flatten(1))
