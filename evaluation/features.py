"""Pictures as vectors, for distances between sets of pictures: by CLIP, by Inception or by any model of timm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evaluation.intervals import Floats
from filters.clip import ClipConfig, shared_clip
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision

INCEPTION_SIDE = 299
_BATCH = 32
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision normalises


class FeaturesConfig(BaseModel):
    """The `features` section: which network turns pictures into vectors for KID and the Fréchet distance.

    Attributes:
        extractor: ``clip`` takes the CLIP of the section `clip` and needs no other weights; ``inception`` is
            torchvision's Inception v3 (not the network of published FIDs, which is TensorFlow's); ``timm`` is any model
            of timm.
        model: of ``timm``, such as DINOv2's ``vit_small_patch14_dinov2``.
        weights: of ``inception`` and ``timm``: a safetensors file on this machine; nothing is downloaded.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    extractor: Literal["clip", "inception", "timm"] = "clip"
    model: str = Field("vit_small_patch14_dinov2", min_length=1)
    weights: str | None = None
    device: str = Field("cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$")

    @property
    def title(self) -> str:
        """The extractor's name in tables."""
        return {"clip": "CLIP", "inception": "Inception v3", "timm": self.model}[self.extractor]


Extractor = Callable[[Sequence[UInt8Array]], Floats]
"""Vectors ``[n, dim]`` of RGB pictures ``[h, w, 3]`` of any size: CLIP's of length √dim, others' as they come."""


def extractor_of(config: FeaturesConfig, clip: ClipConfig) -> Extractor:
    """Loads the extractor. Raises UserError when its weights are missing or do not fit."""
    if config.extractor == "clip":
        return _by_clip(clip)
    network, side = _inception(config) if config.extractor == "inception" else _timm(config)
    return _by_network(network, side, config.device)


def unit_vectors(features: Floats) -> Floats:
    """Features of length 1, as CMMD wants them."""
    lengths: Floats = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-12)


def _by_clip(config: ClipConfig) -> Extractor:
    clip = shared_clip(config)

    def features(pictures: Sequence[UInt8Array]) -> Floats:
        vectors = np.stack([clip.embed_image(picture) for picture in pictures]).astype(np.float64)
        # Unit vectors would make KID's kernel linear; of this length their products are cosines.
        scaled: Floats = vectors * np.sqrt(vectors.shape[1])
        return scaled

    return features


def _by_network(network: Any, side: int, device_name: str) -> Extractor:
    import torch

    device = "cuda" if device_name == "auto" and torch.cuda.is_available() else device_name.replace("auto", "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"features.device is {device_name}, but torch finds no CUDA device; set it to auto or cpu")
    network.eval().requires_grad_(False).to(device)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))

    def prepared(picture: UInt8Array) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
        resized = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
        return (resized[0] - mean) / deviation

    @torch.inference_mode()
    def features(pictures: Sequence[UInt8Array]) -> Floats:
        parts = []
        for start in range(0, len(pictures), _BATCH):
            batch = torch.stack([prepared(picture) for picture in pictures[start : start + _BATCH]])
            parts.append(network(batch.to(device)).float().cpu().numpy())
        found: Floats = np.concatenate(parts).astype(np.float64)
        return found

    return features


def _inception(config: FeaturesConfig) -> tuple[Any, int]:
    ensure_torchvision()
    import torch
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False, aux_logits=True, transform_input=False)
    _load(network, config, "inception_v3")
    network.fc = torch.nn.Identity()  # the 2,048 pooled features
    return network, INCEPTION_SIDE


def _timm(config: FeaturesConfig) -> tuple[Any, int]:
    ensure_torchvision()
    import timm

    if not timm.is_model(config.model):
        raise UserError(f"features.model: timm knows no model {config.model!r}")
    network = timm.create_model(config.model, pretrained=False, num_classes=0)
    _load(network, config, config.model)
    settings: Any = network.pretrained_cfg
    return network, int(settings["input_size"][-1])


def _load(network: Any, config: FeaturesConfig, name: str) -> None:
    """Loads the weights of a file into a network; a classifier's last layer may be missing or too much."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if config.weights is None or not Path(config.weights).is_file():
        raise UserError(f"features.weights is {config.weights}: the safetensors file of {name} is wanted")
    try:
        result = network.load_state_dict(load_file(config.weights), strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{config.weights} are no weights of {name}: {' '.join(str(error).split())[:200]}") from error
    if lacking := [key for key in result.missing_keys if not key.startswith(("fc.", "head."))]:
        raise UserError(f"{config.weights} are no weights of {name}: {len(lacking)} are missing, such as {lacking[0]}")
