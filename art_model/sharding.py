"""A model spread over several processes: each holds a part of every weight, and of whatever a training keeps beside it.

FSDP2 of torch: whole weights exist for one block at a time, while it is computed. Here stands what the rest of the
training needs to know of that: how to spread a model, and the way from a spread tensor to this process's part of it and
to the whole. Tensors that are not spread are their own part and their own whole.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from art_model.transformer import RegionTransformer


def spread(transformer: RegionTransformer, processes: int, device: torch.device, dtype: torch.dtype) -> None:
    """Leaves in this process its part of a transformer's weights, on its device.

    All processes call it, with the same weights.

    Args:
        dtype: weights are gathered in it for a block's computation; gradients are summed in float32.
    """
    mesh = init_device_mesh(device.type, (processes,))
    # Times and positions stay exact: autocast converts what products need.
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    # Also the outermost weights are let go after a forward without a backward: averages take their place then.
    fully_shard(transformer, mesh=mesh, mp_policy=policy, reshard_after_forward=True)


def own_part(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor; writing to it changes the tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together again; all processes must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors on the CPU, by name, put together one after the other; nothing where they are not to be kept."""
    found = {}
    for name, tensor in tensors.items():
        together = whole(tensor.detach())
        if keep:
            found[name] = together.cpu().contiguous()
    return found


def spread_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor, which all processes have, spread as another one is."""
    if not isinstance(other, DTensor):
        return tensor
    moved = tensor.to(other.device_mesh.device_type)
    return distribute_tensor(moved, other.device_mesh, other.placements, src_data_rank=None)
