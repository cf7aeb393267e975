"""Low-rank adapters on the transformer's projections, by peft and in its files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from art_model.train_config import LoraConfig
from art_model.transformer import RegionTransformer
from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision

WEIGHTS_FILE = "adapter_model.safetensors"

_DOUBLE = r"transformer_blocks\.\d+\.attn\.(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)"
_SINGLE = r"single_transformer_blocks\.\d+\.(attn\.(to_q|to_k|to_v)|proj_mlp|proj_out)"
_HEAD = r"x_embedder|proj_out"


def target_pattern(config: LoraConfig) -> str:
    """The names of the adapted modules, as one expression that matches whole names.

    Attention's q, k, v and out of both streams, and the MLP and output projections of single blocks.
    """
    parts = [_DOUBLE, _SINGLE, *([_HEAD] if config.head else [])]
    return "|".join(f"({part})" for part in parts)


def is_in_block(name: str) -> bool:
    """Whether a module of that name belongs to a block: these hold nearly all of a transformer's weights."""
    return name.startswith(("transformer_blocks.", "single_transformer_blocks."))


def add_adapter(transformer: RegionTransformer, config: LoraConfig, seed: int) -> Any:
    """Puts adapters into a transformer, in place, and freezes the rest but its layer embedding.

    Returns:
        peft's `PeftModel` around the transformer, for `save_adapter`, `load_adapter` and `merge_adapter`; the
        transformer itself is called as before.

    Raises:
        UserError: when peft is not installed.
    """
    ensure_torchvision()
    try:
        import peft
    except ImportError as error:
        raise UserError("method lora needs peft: pip install 'layerprism[train]', or take method full") from error
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=target_pattern(config),
        modules_to_save=None if transformer.layer_embedding is None else ["layer_embedding"],
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # Rounded matrices are never merged: `TrainedWeights.export` merges into the exact ones.
        warnings.filterwarnings("ignore", "TorchaoLoraLinear was instantiated")
        torch.manual_seed(seed)
        adapter = peft.get_peft_model(transformer, settings)
    for parameter in adapter.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapter


def save_adapter(folder: Path, adapter: Any) -> None:
    """Writes ``adapter_config.json`` and the adapters with the layer embedding, float32, as peft does."""
    adapter.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's card is a form that nobody has filled in


def load_adapter(folder: Path, adapter: Any) -> None:
    """Fills adapters with what `save_adapter` wrote. Raises UserError when the file is missing or does not fit."""
    from peft import set_peft_model_state_dict

    try:
        found: Any = set_peft_model_state_dict(adapter, load_file(folder / WEIGHTS_FILE))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS_FILE} cannot be loaded: {' '.join(str(error).split())}") from error
    if found.unexpected_keys:
        raise UserError(f"{folder / WEIGHTS_FILE} does not fit the model: it has {found.unexpected_keys[0]}")


def merge_adapter(adapter: Any) -> RegionTransformer:
    """The transformer with its adapters added to its weights; adapters are gone then. Raises ValueError for NaN."""
    merged: RegionTransformer = adapter.merge_and_unload(safe_merge=True)
    return merged
