"""What makes tokens of designs and prompts: the frozen autoencoder and the frozen text encoders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from art_model.autoencoder import encode_samples
from art_model.checkpoint import (
    CONFIG_FILE,
    Part,
    device_named,
    load_prompt_encoder,
    load_vae,
    model_folder,
    read_settings,
)
from art_model.packing import latents_to_tokens
from art_model.quantization import quantize_matrices
from art_model.regions import regions_of
from art_model.text import PromptEmbedding, PromptEncoder
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.image import LayeredImage

_TEXT_PARTS: tuple[Part, ...] = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
_LARGEST_BATCH = 8
_PIXELS_AT_ONCE = 2 * 1024**2
"""Of crops that the autoencoder encodes together: two canvases of 1024², as much as a GPU of 24 GB takes."""


class EncoderFacts(BaseModel):
    """What encoded designs depend on, and their measures; known without loading a weight.

    Attributes:
        vae, text: hashes of the autoencoder's files, and of the text encoders' and tokenizers'.
        text_length, pad_text: as in `art_model.checkpoint.ArtSettings`.
        token: side of a token in pixels.
        channels, joint, pooled: widths of a token of a design, of one of a prompt, and of a whole prompt's embedding.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    vae: str
    text: str
    text_length: int
    pad_text: bool
    token: int
    channels: int
    joint: int
    pooled: int


def encoder_facts(model: Path) -> EncoderFacts:
    """The facts of the encoders of an ART model in a folder. Raises UserError when a part is missing or broken."""
    folder, settings = model_folder(model), read_settings(model)
    vae, text_encoder, text_encoder_2 = (
        _config(settings.folder_of(part, folder)) for part in ("vae", "text_encoder", "text_encoder_2")
    )
    try:
        return EncoderFacts(
            vae=_hash_of_files([settings.folder_of("vae", folder)]),
            text=_hash_of_files([settings.folder_of(part, folder) for part in _TEXT_PARTS]),
            text_length=settings.text_length,
            pad_text=settings.pad_text,
            token=2 ** len(vae["block_out_channels"]),
            channels=4 * vae["latent_channels"],
            joint=text_encoder_2["d_model"],
            pooled=text_encoder["hidden_size"],
        )
    except KeyError as error:
        raise UserError(f"{folder}: {CONFIG_FILE} of an encoder lacks {error}: it is not FLUX's") from error


@dataclass(eq=False)
class Encoders:
    """Frozen encoders on one device.

    Attributes:
        vae: diffusers' `AutoencoderKL`.
        token: side of a token in pixels.
    """

    prompts: PromptEncoder
    vae: Any
    token: int

    @torch.inference_mode()
    def encode(self, designs: Sequence[LayeredImage]) -> list[Tensor]:
        """The tokens ``[n, channels]`` of each design, float16 on the CPU: posterior means of the exact whole, the base
        image and the layers."""
        samples = []
        for design in designs:
            regions = regions_of(design.canvas, [layer.box for layer in design.layers], token=self.token)
            pictures = [_opaque(design.whole()), _opaque(design.base), *(layer.pixels for layer in design.layers)]
            samples.append((pictures, regions))
        largest = max(region.aligned.area for _, regions in samples for region in regions.items)
        batch = max(1, min(_LARGEST_BATCH, _PIXELS_AT_ONCE // largest))
        encoded = encode_samples(self.vae, samples, batch=batch)
        return [torch.cat([latents_to_tokens(own) for own in latents]).half().cpu() for latents in encoded]

    @torch.inference_mode()
    def embed(self, prompt: str) -> PromptEmbedding:
        """One prompt in float16 on the CPU. Raises UserError when it is too long."""
        embedded = self.prompts([prompt])[0]
        return PromptEmbedding(embedded.text.half().cpu(), embedded.pooled.half().cpu())


def load_encoders(model: Path, *, device: str = "auto", dtype: torch.dtype | None = None) -> Encoders:
    """Loads the encoders of an ART model, and nothing else of it.

    Args:
        dtype: of the text encoders; None takes bfloat16 on CUDA and float32 elsewhere.

    Raises:
        UserError: when a part is missing or broken, or the device is not there.
    """
    folder, settings, target = model_folder(model), read_settings(model), device_named(device)
    prompts = load_prompts(model, device=device, dtype=dtype)
    vae = load_vae(settings.folder_of("vae", folder)).eval().requires_grad_(False).to(target)
    return Encoders(prompts, vae, 2 ** len(vae.config.block_out_channels))


def load_prompts(model: Path, *, device: str = "auto", dtype: torch.dtype | None = None) -> PromptEncoder:
    """The text encoders alone, frozen; arguments and errors as `load_encoders`."""
    folder, target = model_folder(model), device_named(device)
    if dtype is None:
        dtype = torch.bfloat16 if target.type == "cuda" else torch.float32
    return load_prompt_encoder(folder, read_settings(model), dtype).eval().requires_grad_(False).to(target)


def quantize_prompts(encoder: PromptEncoder) -> None:
    """Rounds T5's matrices to 8 bits, in place. Raises UserError without torchao."""
    quantize_matrices(encoder.text_encoder_2)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG_FILE} cannot be read ({error}): give a complete model") from error
    return config


def _hash_of_files(folders: Sequence[Path]) -> str:
    """The same for the same files, wherever they lie; what people read (cards) does not count."""
    digest = hashlib.sha256()
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"the model's part {folder} does not exist: see `parts` in art.json")
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"{file.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def _opaque(rgb: UInt8Array) -> UInt8Array:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)
