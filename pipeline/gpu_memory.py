"""What a process asks of its GPU's memory; without torch in the process, or without a GPU, there is nothing to ask."""

from __future__ import annotations

import gc
import sys
from typing import Any


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was no memory left, on the GPU or on the machine."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    # cuBLAS and cuDNN tell it in their own words.
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "_STATUS_ALLOC_FAILED" in str(error)
    )


def free_memory() -> None:
    """Gives back what nobody holds any more."""
    gc.collect()
    if (cuda := _cuda()) is not None:
        cuda.empty_cache()


def start_measuring() -> None:
    """Forgets the peak so far."""
    if (cuda := _cuda()) is not None:
        cuda.reset_peak_memory_stats()


def peak_bytes() -> int:
    """Most memory that tensors held since `start_measuring`; 0 without a GPU."""
    return int(cuda.max_memory_allocated()) if (cuda := _cuda()) is not None else 0


def _cuda() -> Any:
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
