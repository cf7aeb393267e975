"""Frozen matrices in 8 bits, by torchao: half the memory of bfloat16, each output channel by its own scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from layered.errors import UserError


def quantize_matrices(model: nn.Module, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Rounds the matrices of linear layers in place; those that are rounded already stay as they are.

    Inputs are then brought to the type that the matrix had: autocast does not reach into such layers.

    Args:
        wanted: by a layer's name.

    Raises:
        UserError: when torchao is not installed.
    """
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise UserError("8-bit weights need torchao: pip install 'layerprism[quantize]'") from error

    def is_chosen(module: nn.Module, name: str) -> bool:
        chosen = isinstance(module, nn.Linear) and type(module.weight) is nn.Parameter and wanted(name)
        if chosen:
            module.register_forward_pre_hook(_in_type_of_weight)
        return chosen

    quantize_(model, Int8WeightOnlyConfig(), filter_fn=is_chosen)


def _in_type_of_weight(layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].to(layer.weight.dtype),)
