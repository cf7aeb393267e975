"""The ways that are compared are what they are called, and so is what is gained."""

import torch

from art_model.attention import Spans
from benchmarks.region_attention import Case, Result, SpatialTemporal, gains


def test_factorised_attention_is_that_inside_canvases_plus_that_across_them() -> None:
    canvases, places, text = 3, 4, 2
    joint = text + canvases * places
    query, key, value = torch.randn(3, joint, 2, 8, dtype=torch.float64)
    attended = SpatialTemporal(canvases)(query, key, value, Spans(text, joint - text, (text,), (joint - text,)))
    scores = torch.einsum("qhd,khd->hqk", query, key) / 8**0.5

    def among(allowed: torch.Tensor) -> torch.Tensor:
        weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        return torch.einsum("hqk,khd->qhd", weights, value).flatten(1)[text:]

    index = torch.arange(joint)
    layer, place = (index - text) // places, (index - text) % places
    is_text = index < text
    inside = is_text | (layer[:, None] == layer)
    across = ~is_text & (place[:, None] == place)
    across[is_text] = True  # rows that are not compared
    torch.testing.assert_close(attended[text:], among(inside) + among(across))


def test_gains_compare_both_ways_at_equal_layers() -> None:
    def result(attention: str, tokens: int, seconds: float, flops: float, peak: int) -> Result:
        case = Case(attention, 4, 64, "float32", 1, 1)  # type: ignore[arg-type]
        return Result(case, tokens, seconds, flops, peak, 1e9)

    (gain,) = gains([result("region", 100, 1, 10, 50), result("full", 400, 9, 100, 160)])
    assert (gain.speed, gain.flops, gain.share, gain.tokens) == (9, 10, 0.9, 4)
    assert (gain.memory, gain.memory_excess) == (3.2, 1.25)
