"""Tokens of a sample see each other and nobody else, whichever way attention is computed."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from art_model.attention import Spans, attend, choose_backend

HEADS, HEAD_WIDTH = 2, 8
LENGTHS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=4)


def spans_of(lengths: list[tuple[int, int]], padding: tuple[int, int] = (0, 0)) -> Spans:
    text, image = zip(*lengths, strict=True)
    return Spans(sum(text) + padding[0], sum(image) + padding[1], tuple(text), tuple(image))


def joint(spans: Spans, dtype: torch.dtype = torch.float64, device: str = "cpu") -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    shape = (3, spans.text + spans.image, HEADS, HEAD_WIDTH)
    return list(torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype))


def dense(query: Tensor, key: Tensor, value: Tensor, spans: Spans) -> Tensor:
    """Attention over everything under a mask that says who belongs together."""
    sample = torch.full((spans.text + spans.image,), -1)
    starts = [0, spans.text]
    for index, lengths in enumerate(zip(spans.text_lengths, spans.image_lengths, strict=True)):
        for stream, length in enumerate(lengths):
            sample[starts[stream] : starts[stream] + length] = index
            starts[stream] += length
    mask = (sample[:, None] == sample) & (sample >= 0)
    scores = torch.einsum("qhd,khd->hqk", query, key) / HEAD_WIDTH**0.5
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1).nan_to_num()
    return torch.einsum("hqk,khd->qhd", weights, value).flatten(1)


@settings(deadline=None)
@given(LENGTHS, st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from(["sdpa", "blocked"]))
def test_samples_are_apart_and_padding_is_zero(
    lengths: list[tuple[int, int]], padding: tuple[int, int], way: str
) -> None:
    spans = spans_of(lengths, padding)
    parts = joint(spans)
    attended = attend(*parts, spans, way)  # type: ignore[arg-type]
    assert torch.allclose(attended, dense(*parts, spans), rtol=0, atol=1e-12)


@settings(deadline=None)
@given(LENGTHS, st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_the_order_for_one_kernel_puts_samples_back_to_back(
    lengths: list[tuple[int, int]], padding: tuple[int, int]
) -> None:
    spans = spans_of(lengths, padding)
    inputs = spans.kernel_inputs(torch.device("cpu"))
    query, key, value = joint(spans)
    pieces = []
    for start, end in zip(inputs.ends[:-1].tolist(), inputs.ends[1:].tolist(), strict=True):
        q, k, v = (part[inputs.order][start:end].transpose(0, 1) for part in (query, key, value))
        pieces.append(F.scaled_dot_product_attention(q, k, v).transpose(0, 1))
    attended = F.pad(torch.cat(pieces), (0, 0, 0, 0, 0, 1))[inputs.inverse].flatten(1)
    assert torch.allclose(attended, dense(query, key, value, spans), rtol=0, atol=1e-12)
    assert inputs.longest == max(sum(pair) for pair in lengths)


def test_gradients_reach_every_token_of_a_sample_and_no_other() -> None:
    spans = spans_of([(2, 3), (1, 4)])
    parts = [part.requires_grad_() for part in joint(spans)]
    attend(*parts, spans)[spans.text].sum().backward()  # the first image token of the first sample
    reached = parts[2].grad
    assert reached is not None
    assert reached.flatten(1).any(1).tolist() == [True, True, False, True, True, True, False, False, False, False]


def test_the_way_is_chosen_by_precision() -> None:
    assert choose_backend(torch.empty(1)) == choose_backend(torch.empty(1, dtype=torch.float16)) == "sdpa"
    assert choose_backend(torch.empty(1, dtype=torch.bfloat16)) == "blocked"


@pytest.mark.parametrize("way", ["varlen", "sdpa"])
def test_half_precision_on_cuda_agrees_with_the_oracle(way: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("CUDA is missing")
    spans = spans_of([(5, 60), (17, 200), (1, 3)])
    width = 64
    parts = list(torch.randn(3, spans.text + spans.image, 4, width, device="cuda"))
    oracle = attend(*parts, spans, "sdpa")
    halved = [part.bfloat16() for part in parts]
    assert choose_backend(halved[0]) == "varlen"
    attended = attend(*halved, spans, way)  # type: ignore[arg-type]
    assert (attended.float() - oracle).abs().max() < 0.05
