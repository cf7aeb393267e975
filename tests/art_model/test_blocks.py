"""Blocks can be compiled once for batches of any lengths."""

import torch
from torch._dynamo.testing import CompileCounter

from art_model.packing import PackedBatch, pack
from art_model.regions import regions_of
from tests.art_model.random_designs import SMALL, random_transformer, samples_of


def batch_of(canvases: list[int]) -> PackedBatch:
    designs = [regions_of((16 * side, 16), []) for side in canvases]
    return pack(samples_of(SMALL, designs, [0.3] * len(designs), seed=1)).padded(40, 9, 4)


def test_compiled_blocks_meet_new_lengths_without_being_compiled_again() -> None:
    torch._dynamo.reset()
    eager, compiled = random_transformer(), random_transformer()
    counter = CompileCounter()
    for block in [*compiled.transformer_blocks, *compiled.single_transformer_blocks]:
        block.compile(backend=counter)
    compiled(batch_of([3, 5]))
    graphs = counter.frame_count
    assert graphs > 0
    for canvases in ([1, 2], [7, 4], [5, 3]):
        batch = batch_of(canvases)
        torch.testing.assert_close(compiled(batch), eager(batch))
    assert counter.frame_count == graphs


def test_gradients_pass_compiled_blocks() -> None:
    torch._dynamo.reset()
    eager, compiled = random_transformer(), random_transformer()
    for block in [*compiled.transformer_blocks, *compiled.single_transformer_blocks]:
        block.compile(backend="aot_eager")
    batch = batch_of([3, 5])
    for transformer in (eager, compiled):
        transformer(batch).square().sum().backward()
    for one, other in zip(eager.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
