"""Attention in blocks of queries and keys, for bfloat16 on CPUs.

torch's own kernel computes bfloat16 attention on CPUs without matrix units at a fifth of the rate of its matrix
products. Queries and keys of FLUX are RMS-normed, so that scores are bounded and the softmax needs no running maximum:
a block is one product, one exponential and one more product, at half that rate. As in FlashAttention (arXiv 2205.14135)
no matrix of all scores is ever kept, in the backward pass neither.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor

_BLOCK = 512
"""Queries and keys of a block; its scores of a few heads fit into a core's cache."""

_LARGEST_SCORE = 40.0
"""Sums of a million exponentials of scores up to here stay far inside the range of bfloat16 and float32."""


def are_scores_bounded(query: Tensor, key: Tensor) -> bool:
    """Whether no score of queries and keys ``[n, heads, head width]`` can leave the range (Cauchy–Schwarz)."""
    precise = torch.promote_types(query.dtype, torch.float32)
    largest = [torch.linalg.vector_norm(part, dim=-1, dtype=precise).max() for part in (query, key)]
    return bool(largest[0] * largest[1] * query.shape[-1] ** -0.5 <= _LARGEST_SCORE)


def blocked_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of one sample, ``[n, heads, head width]`` to the same; scores must be bounded.

    Sums are kept in single precision, in double for double.
    """
    scaled = query * query.shape[-1] ** -0.5
    heads_first = [part.transpose(0, 1).contiguous() for part in (scaled, key, value)]
    attended: Tensor = _BlockedAttention.apply(*heads_first)  # type: ignore[no-untyped-call]
    return attended.transpose(0, 1)


class _BlockedAttention(torch.autograd.Function):
    """``[heads, n, head width]``; queries are scaled already."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        precise = torch.promote_types(query.dtype, torch.float32)
        sums = torch.zeros(query.shape, dtype=precise)
        totals = torch.zeros(*query.shape[:2], 1, dtype=precise)
        for queries, keys in _blocks(query):
            weights = torch.bmm(query[:, queries], key[:, keys].transpose(1, 2)).exp_()
            totals[:, queries] += weights.sum(-1, keepdim=True, dtype=precise)
            sums[:, queries] += torch.bmm(weights, value[:, keys])
        attended = sums.div_(totals).to(query.dtype)
        ctx.save_for_backward(query, key, value, attended, totals)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, attended, totals = ctx.saved_tensors
        shares = ((gradient * attended).sum(-1, keepdim=True, dtype=totals.dtype) / totals).to(query.dtype)
        gradient = (gradient / totals).to(query.dtype)
        of_query, of_key, of_value = (torch.zeros(query.shape, dtype=totals.dtype) for _ in range(3))
        for queries, keys in _blocks(query):
            weights = torch.bmm(query[:, queries], key[:, keys].transpose(1, 2)).exp_()
            of_value[:, keys] += torch.bmm(weights.transpose(1, 2), gradient[:, queries])
            of_weights = torch.bmm(gradient[:, queries], value[:, keys].transpose(1, 2))
            of_scores = of_weights.sub_(shares[:, queries]).mul_(weights)
            of_query[:, queries] += torch.bmm(of_scores, key[:, keys])
            of_key[:, keys] += torch.bmm(of_scores.transpose(1, 2), query[:, queries])
        return of_query.to(query.dtype), of_key.to(query.dtype), of_value.to(query.dtype)


def _blocks(query: Tensor) -> Iterator[tuple[slice, slice]]:
    starts = range(0, query.shape[1], _BLOCK)
    return ((slice(one, one + _BLOCK), slice(other, other + _BLOCK)) for one, other in product(starts, starts))
