"""Where a matting network runs."""

from __future__ import annotations

import torch

from layered.errors import UserError


def matting_device(name: str) -> torch.device:
    """The configured device; `auto` takes a GPU where there is one. Raises UserError when it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"matting.device is {name}, but torch finds no CUDA device; set it to auto or cpu")
    if name == "cpu":
        # One thread per worker: two in two busy workers are several times slower, and change the last bits.
        torch.set_num_threads(1)
    return torch.device(name)
