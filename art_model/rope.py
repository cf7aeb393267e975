"""Rotary positions of FLUX: pairs of neighbouring channels of queries and keys turn with layer, y and x."""

from collections.abc import Sequence

import torch
from torch import Tensor

THETA = 10000.0


def rotary_table(positions: Tensor, axes: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Cosines and sines ``[n, 1, head width / 2, 2]`` of positions ``[n, axes]``.

    Angles are computed in double precision (single on devices without it) and rounded once, as diffusers does.

    Args:
        positions: coordinates in tokens; may be negative.
        axes: channels of a head that turn with each coordinate, all even.
        dtype: precision of the result.
    """
    precise = torch.float32 if positions.device.type == "mps" else torch.float64
    angles = []
    for axis, channels in enumerate(axes):
        exponents = torch.arange(0, channels, 2, dtype=precise, device=positions.device) / channels
        angles.append(positions[:, axis, None].to(precise) * (1.0 / THETA**exponents))
    angle = torch.cat(angles, 1)[:, None]
    return torch.stack([angle.cos(), angle.sin()], -1).to(dtype)


def rotated(vectors: Tensor, table: Tensor) -> Tensor:
    """Queries or keys ``[n, heads, head width]``, turned in the precision of the table."""
    pairs = vectors.to(table.dtype).reshape(*vectors.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # compilers fuse the real form and know no complex numbers
        (even, odd), (cos, sin) = pairs.unbind(-1), table.unbind(-1)
        turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1)
    else:  # one pass over memory instead of seven
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(table))
    return turned.flatten(-2).to(vectors.dtype)
