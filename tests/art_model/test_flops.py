"""Counted operations are those that torch counts while the transformer runs."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from art_model.attention import Spans
from art_model.flops import forward_flops, peak_flops
from art_model.packing import TokenSample, pack
from tests.art_model.random_training import CHANNELS, JOINT, POOLED, random_transformer


def products(query: Tensor, key: Tensor, value: Tensor, spans: Spans) -> Tensor:
    """Attention inside one sample, as two products that torch counts."""
    query, key, value = (each.transpose(0, 1) for each in (query, key, value))
    return (torch.bmm(query, key.transpose(1, 2)).softmax(-1) @ value).transpose(0, 1).flatten(1)


def counted(tokens: int, text: int) -> float:
    transformer = random_transformer()
    transformer.attention_backend = products
    sample = TokenSample(
        torch.randn(tokens, CHANNELS), torch.zeros(tokens, 3, dtype=torch.int64), 0.5,
        torch.randn(text, JOINT), torch.randn(POOLED),
    )  # fmt: skip
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        transformer(pack([sample]))
    return float(counter.get_total_flops())


def test_each_token_and_pair_costs_what_torch_counts() -> None:
    config = random_transformer().config
    # Differences, because the modulation is per sample and not counted by ours.
    for more in ((60, 8), (20, 30)):
        expected = forward_flops(config, *more) - forward_flops(config, 20, 8)
        assert counted(*more) - counted(20, 8) == expected


def test_nobody_knows_what_a_cpu_promises() -> None:
    assert peak_flops(torch.device("cpu")) is None
