"""Packed and padded batches are compared on the same samples."""

import pytest

from art_model.transformer import TransformerConfig
from benchmarks.packed_training import batch_of, drawn_lengths, flops_of, measure
from benchmarks.region_model import CONFIG


def test_one_canvas_has_at_least_its_two_full_regions_and_mixed_ones_differ() -> None:
    whole = 2 * (256 // 16) ** 2
    assert all(image > whole for image, _ in drawn_lengths(16, 256, mixed=False))
    assert len({image for image, _ in drawn_lengths(16, 256, mixed=True)}) > 8


def test_what_flops_allow_is_the_cost_of_padding() -> None:
    step = measure(2, 64, "float32", mixed=True)
    lengths = drawn_lengths(2, 64, mixed=True)
    longest = (max(image for image, _ in lengths), max(text for _, text in lengths))
    config = TransformerConfig(**CONFIG)
    assert step.packed_tokens == sum(image for image, _ in lengths) == len(batch_of(lengths, config).tokens)
    assert step.padded_tokens == 2 * longest[0]
    assert step.allowed == pytest.approx(flops_of([longest] * 2, config) / flops_of(lengths, config))
    assert step.share == pytest.approx(step.gain / step.allowed)
