"""ART on disk: a folder of ordinary diffusers and transformers parts, with `art.json` for what they leave open.

art.json               settings, and which parts lie elsewhere
transformer/           config.json and diffusion_pytorch_model.safetensors with diffusers' names
text_encoder/, tokenizer/, text_encoder_2/, tokenizer_2/, vae/     as in a diffusers folder of FLUX
decoder/               the transparent decoder
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from art_model.schedule import Shift
from art_model.text import PromptEncoder
from art_model.transformer import RegionTransformer
from art_model.transparent_decoder import TransparentDecoder, load_decoder, save_decoder
from layered.arrays import Size
from layered.brief import describe_validation_error
from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision

SETTINGS_FILE: Final = "art.json"
CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "diffusion_pytorch_model.safetensors"
INDEX_FILE: Final = f"{WEIGHTS_FILE}.index.json"

Part = Literal["transformer", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "vae", "decoder"]


class ArtSettings(BaseModel):
    """`art.json`: what a model needs at call time. Defaults are those of FLUX.1-dev and ART's released code.

    Attributes:
        name, revision, licence: recorded with every layer that it draws.
        shift: of the times, in training as in sampling.
        guidance: the value that the guidance embedding had in training; null for a transformer without one.
        true_cfg, steps: of the sampler.
        canvas: ``[width, height]`` of designs where nothing else is asked for.
        largest_side: of the canvases that it was trained on, in pixels.
        text_length: longest prompt in tokens of T5.
        pad_text: fill prompts with padding tokens up to `text_length`, as FLUX does.
        parts: folders, relative to this one, of the parts that lie elsewhere.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    revision: str
    licence: str
    shift: Shift = Shift()
    guidance: float | None = None
    true_cfg: float = Field(3.5, ge=1)
    steps: int = Field(28, ge=1)
    canvas: Size = (1024, 1024)
    largest_side: int = Field(1024, ge=16)
    text_length: int = Field(512, ge=1)
    pad_text: bool = True
    parts: dict[Part, str] = {}

    def folder_of(self, part: Part, folder: Path) -> Path:
        """Where a part of the model in `folder` lies."""
        return folder / self.parts.get(part, part)


@dataclass(eq=False)
class Art:
    """A whole model in memory, all parts on one device.

    Attributes:
        vae: diffusers' `AutoencoderKL`, frozen.
    """

    transformer: RegionTransformer
    text: PromptEncoder
    vae: Any
    decoder: TransparentDecoder
    settings: ArtSettings

    @property
    def device(self) -> torch.device:
        return self.transformer.proj_out.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the transformer's weights, and so of what it is given."""
        return self.transformer.proj_out.weight.dtype

    @property
    def latent_channels(self) -> int:
        channels: int = self.vae.config.latent_channels
        return channels

    @property
    def token(self) -> int:
        """Pixels along a token's side."""
        factor: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        return 2 * factor

    def to(self, device: torch.device) -> Self:
        """Moves all parts, in place."""
        for part in (self.transformer, self.text, self.vae, self.decoder):
            part.to(device)
        return self


def read_settings(folder: Path) -> ArtSettings:
    """The settings of the model in a folder, or in its subfolder `art`.

    Raises:
        UserError: when there is no model, or one that this version cannot read.
    """
    path = model_folder(folder) / SETTINGS_FILE
    try:
        return ArtSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error)}") from error


def load_art(folder: Path, *, device: str = "auto", dtype: torch.dtype | None = None) -> Art:
    """Loads a model, ready to sample.

    Args:
        folder: holds `art.json`, or has a subfolder `art` that does.
        device: ``auto``, or one of torch's.
        dtype: of the transformer and the text encoders; None takes bfloat16 on CUDA and float32 elsewhere.

    Raises:
        UserError: when a part is missing or broken, or the device is not there.
    """
    folder, settings = model_folder(folder), read_settings(folder)
    target = device_named(device)
    if dtype is None:
        dtype = torch.bfloat16 if target.type == "cuda" else torch.float32
    art = Art(
        load_transformer(settings.folder_of("transformer", folder)).to(dtype),
        load_prompt_encoder(folder, settings, dtype),
        load_vae(settings.folder_of("vae", folder)),
        load_decoder(settings.folder_of("decoder", folder)),
        settings,
    )
    if art.transformer.config.guidance_embeds != (settings.guidance is not None):
        raise UserError(f"{folder / SETTINGS_FILE}: guidance must be given if and only if the transformer embeds it")
    for part in (art.transformer, art.text, art.vae, art.decoder):
        part.eval().requires_grad_(False)
    return art.to(target)


def save_art(folder: Path, art: Art, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes a model: `art.json` and all parts but those that its settings place elsewhere.

    The transformer is written in `dtype`, the text encoders and the decoder in float16, whatever they are in memory.
    """
    parts = {
        "transformer": lambda at: save_transformer(at, art.transformer, dtype),
        "text_encoder": lambda at: _save_encoder(at, art.text.text_encoder),
        "tokenizer": art.text.tokenizer.save_pretrained,
        "text_encoder_2": lambda at: _save_encoder(at, art.text.text_encoder_2),
        "tokenizer_2": art.text.tokenizer_2.save_pretrained,
        "vae": art.vae.save_pretrained,
        "decoder": lambda at: save_decoder(art.decoder, at),
    }
    for part, save in parts.items():
        if part not in art.settings.parts:
            (folder / part).mkdir(parents=True, exist_ok=True)
            save(folder / part)
    settings = art.settings.model_dump_json(by_alias=True, indent=1)
    (folder / SETTINGS_FILE).write_text(settings + "\n", encoding="utf-8")


def load_transformer(folder: Path) -> RegionTransformer:
    """A transformer in the types of its file, from a folder of ours or one of diffusers' `FluxTransformer2DModel`.

    Raises:
        UserError: when files are missing, are broken or do not fit each other.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_bytes())
        weights = _weights_in(folder)
        own = {name: value for name, value in config.items() if not name.startswith("_")}
        # Weights take the place of parameters that never had memory: a large model is in memory once.
        with torch.device("meta"):
            transformer = RegionTransformer(**own)
        transformer.load_state_dict(weights, assign=True)
    except FileNotFoundError as error:
        raise UserError(f"{folder} is no transformer: a file is missing ({error})") from error
    except (ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} is no transformer that can be loaded: {' '.join(str(error).split())}") from error
    return transformer


def save_transformer(
    folder: Path,
    transformer: RegionTransformer,
    dtype: torch.dtype | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a transformer as diffusers would write it; in its own type unless another one is given.

    Args:
        weights: instead of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = transformer.state_dict() if weights is None else weights
    written = {name: weight.detach().cpu().to(dtype).contiguous() for name, weight in found.items()}
    save_file(written, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = {"_class_name": "FluxTransformer2DModel", **asdict(transformer.config)}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def model_folder(folder: Path) -> Path:
    """Where `art.json` lies: in the folder, or in its subfolder `art`. Raises UserError where it does not."""
    for candidate in (folder, folder / "art"):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate
    missing = "lacks art.json" if folder.is_dir() else "does not exist"
    raise UserError(f"{folder} {missing}: give the folder of an ART model")


def device_named(name: str) -> torch.device:
    """``auto``, or one of torch's. Raises UserError when it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"there is no device {name!r}: take auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"the device is {name}, but torch finds no CUDA device: take auto or cpu")
    return device


def _weights_in(folder: Path) -> dict[str, Tensor]:
    """The weights of one file, or of all files that an index names."""
    if not (folder / INDEX_FILE).is_file():
        return dict(load_file(folder / WEIGHTS_FILE))
    files: Mapping[str, str] = json.loads((folder / INDEX_FILE).read_bytes())["weight_map"]
    weights: dict[str, Tensor] = {}
    for name in sorted(set(files.values())):
        weights |= load_file(folder / name)
    return weights


def load_prompt_encoder(folder: Path, settings: ArtSettings, dtype: torch.dtype) -> PromptEncoder:
    """The text encoders of the model in `folder`, in `dtype`. Raises UserError when a part is missing or broken."""
    ensure_torchvision()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    classes: dict[Part, Any] = {
        "tokenizer": transformers.CLIPTokenizer,
        "text_encoder": transformers.CLIPTextModel,
        "tokenizer_2": transformers.AutoTokenizer,
        "text_encoder_2": transformers.T5EncoderModel,
    }
    parts = []
    for part, kind in classes.items():
        options = {"dtype": dtype} if part.startswith("text_encoder") else {}
        parts.append(_from_pretrained(kind, settings.folder_of(part, folder), **options))
    return PromptEncoder(*parts, length=settings.text_length, pad=settings.pad_text)


def load_vae(folder: Path) -> Any:
    """diffusers' `AutoencoderKL` in float32. Raises UserError when it is missing or broken."""
    ensure_torchvision()
    import diffusers

    # Half precision is not enough for FLUX's autoencoder; it is small beside the transformer.
    return _from_pretrained(diffusers.AutoencoderKL, folder, torch_dtype=torch.float32)


def _from_pretrained(kind: Any, folder: Path, **options: Any) -> Any:
    if not folder.is_dir():
        raise UserError(f"the model's part {folder} does not exist: see `parts` in {SETTINGS_FILE}")
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be loaded: {next(iter(str(error).splitlines()), kind.__name__)}") from error


def _save_encoder(folder: Path, encoder: Any) -> None:
    """Writes a text encoder in float16 without changing the one in memory; tied weights are written once."""
    weights = encoder.state_dict()
    once = {weight.data_ptr(): weight.half() for weight in weights.values()}
    halved = {name: once[weight.data_ptr()] for name, weight in weights.items()}
    encoder.config.dtype, kept = torch.float16, encoder.config.dtype
    try:
        encoder.save_pretrained(folder, state_dict=halved)
    finally:
        encoder.config.dtype = kept
