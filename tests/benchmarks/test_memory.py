"""Peak memory is that of what lives at one time."""

import sys

import pytest
import torch

from benchmarks.memory import peak_bytes_of


def test_peak_memory_is_that_of_what_lives_at_once() -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel's high-water mark is missing")
    size = 64 * 2**20

    def one_after_the_other() -> None:
        for _ in range(3):
            torch.ones(size, dtype=torch.uint8)

    peak_bytes_of(one_after_the_other)
    assert peak_bytes_of(one_after_the_other) == pytest.approx(size, rel=0.2)
    assert peak_bytes_of(lambda: [torch.ones(size, dtype=torch.uint8) for _ in range(3)]) == pytest.approx(
        3 * size, rel=0.2
    )
