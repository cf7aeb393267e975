"""Attention in blocks of queries and keys, for bfloat16 on CPUs.

torch's own kernel computes bfloat16 attention on CPUs without matrix units at a fifth of the rate of its matrix
products. Queries and keys of FLUX are RMS-normed, so that scores are bounded and the softmax needs no running maximum:
a block is one product, one exponential and one more product, at half that rate. As in FlashAttention (arXiv 2205.14135)
no matrix of all scores is ever kept, in the backward pass neither.
"""

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
        totals = torch.zeros(*query.shape[:2], 1, dtype=precise)
        attended = torch.empty_like(query)
        keys, values = _blocks(key), _blocks(value)
        for queries, own, total in zip(_blocks(query), _views(attended), _views(totals), strict=True):
            sums = torch.zeros(own.shape, dtype=precise)
            for some_keys, some_values in zip(keys, values, strict=True):
                weights = torch.bmm(queries, some_keys.transpose(1, 2)).exp_()
                total += weights.sum(-1, keepdim=True)
                sums += torch.bmm(weights, some_values)
            own.copy_(sums.div_(total))
        ctx.save_for_backward(query, key, value, attended, totals)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, attended, totals = ctx.saved_tensors
        shares = ((gradient * attended).sum(-1, keepdim=True, dtype=totals.dtype) / totals).to(query.dtype)
        gradient = (gradient / totals).to(query.dtype)
        of_all = [torch.zeros(query.shape, dtype=totals.dtype) for _ in range(3)]
        of_query, of_key, of_value = (_views(whole) for whole in of_all)
        keys, values = _blocks(key), _blocks(value)
        rows = zip(_blocks(query), _blocks(gradient), _blocks(shares), of_query, strict=True)
        for queries, of_attended, share, of_queries in rows:
            for some_keys, some_values, of_keys, of_values in zip(keys, values, of_key, of_value, strict=True):
                weights = torch.bmm(queries, some_keys.transpose(1, 2)).exp_()
                of_values += torch.bmm(weights.transpose(1, 2), of_attended)
                of_scores = torch.bmm(of_attended, some_values.transpose(1, 2)).sub_(share).mul_(weights)
                of_queries += torch.bmm(of_scores, some_keys)
                of_keys += torch.bmm(of_scores.transpose(1, 2), queries)
        return of_all[0].to(query.dtype), of_all[1].to(query.dtype), of_all[2].to(query.dtype)


def _views(whole: Tensor) -> list[Tensor]:
    return list(torch.split(whole, _BLOCK, 1))


def _blocks(whole: Tensor) -> list[Tensor]:
    """Contiguous, as products copy whatever is not."""
    return [block.contiguous() for block in _views(whole)]
