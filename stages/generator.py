"""Any diffusers text-to-image pipeline behind one call: prompts and seeds in, 8-bit pictures out."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from layered.arrays import Size, UInt8Array
from layered.errors import UserError
from layered.pixels import round_to_uint8
from layered.torchvision_cure import ensure_torchvision
from stages.layer_flux import ResolvedLayerFlux
from stages.one_at_a_time import one_at_a_time

CACHED_PROMPTS = 192
"""Embeddings kept in memory: those of a chunk's distinct prompts and some more. FLUX.1 takes 4 MB each."""

Embedding = Mapping[str, torch.Tensor]
"""Arguments of a pipeline's call that stand for one prompt, each with a batch axis of one."""


class Generator:
    """A pipeline on its device, with the settings to call it with.

    Attributes:
        revision: of the weights that were really loaded, the commit for a hub model.
    """

    def __init__(self, pipeline: Any, settings: ResolvedLayerFlux, revision: str) -> None:
        self.settings = settings
        self.revision = revision
        self._pipeline = pipeline
        self._arguments = inspect.signature(pipeline.__call__).parameters
        self._embeddings: OrderedDict[str, Embedding] = OrderedDict()
        self._negative: Embedding | None = None

    @torch.inference_mode()
    def draw(self, requests: Sequence[tuple[str, int]], size: Size) -> list[UInt8Array]:
        """One picture ``[height, width, 3]`` per (prompt, seed)."""
        arguments: dict[str, Any] = {
            "width": size[0],
            "height": size[1],
            "num_inference_steps": self.settings.steps,
            "true_cfg_scale": self.settings.true_cfg_scale,
            "guidance_scale": self.settings.guidance_scale,
            "max_sequence_length": self.settings.max_sequence_length,
            # Noise from the CPU's generator is the same on every device.
            "generator": [torch.Generator("cpu").manual_seed(seed) for _, seed in requests],
            "output_type": "np",
        }
        arguments |= self._conditions([prompt for prompt, _ in requests])
        known = {name: value for name, value in arguments.items() if name in self._arguments}
        images = self._pipeline(**known).images
        return [round_to_uint8(image) for image in images]

    def _conditions(self, prompts: Sequence[str]) -> dict[str, Any]:
        """The prompts as arguments of the pipeline: embeddings where it takes them, else the texts."""
        wants_negative = self.settings.true_cfg_scale > 1 and "true_cfg_scale" in self._arguments
        names = _embedding_names(self._arguments)
        if not names:
            # diffusers switches true CFG on only when there is a negative prompt, be it an empty one.
            negative = {"negative_prompt": [self.settings.negative_prompt] * len(prompts)} if wants_negative else {}
            return {"prompt": list(prompts)} | negative
        conditions = _stacked([self._embedding(prompt) for prompt in prompts])
        if wants_negative:
            if self._negative is None:
                self._negative = self._embed(self.settings.negative_prompt)
            negatives = _stacked([self._negative] * len(prompts))
            conditions |= {f"negative_{name}": value for name, value in negatives.items()}
        return conditions

    def _embedding(self, prompt: str) -> Embedding:
        """The prompt's embedding, from memory where it was used lately."""
        if prompt in self._embeddings:
            self._embeddings.move_to_end(prompt)
        else:
            self._embeddings[prompt] = self._embed(prompt)
            if len(self._embeddings) > CACHED_PROMPTS:
                self._embeddings.popitem(last=False)
        return self._embeddings[prompt]

    def _embed(self, prompt: str) -> Embedding:
        """Embeds one prompt alone, so that the result cannot depend on others in its batch."""
        encode = self._pipeline.encode_prompt
        options = {
            "prompt": prompt,
            "prompt_2": None,
            "device": self._pipeline._execution_device,
            "max_sequence_length": self.settings.max_sequence_length,
        }
        known = inspect.signature(encode).parameters
        outputs = encode(**{name: value for name, value in options.items() if name in known})
        return dict(zip(_embedding_names(self._arguments), outputs, strict=False))


def load_generator(settings: ResolvedLayerFlux) -> Generator:
    """Loads a pipeline as its settings say. Raises UserError when that is not possible."""
    ensure_torchvision()
    import diffusers
    import transformers

    device = _device(settings.device)
    if device.type == "cpu":
        # Two threads in two busy workers are several times slower than one each, and change the last bits.
        torch.set_num_threads(1)
    # A stage never prints; these two would draw bars while they load.
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    folder, revision = _folder_of(settings)
    options: dict[str, Any] = {"dtype": getattr(torch, settings.dtype), "local_files_only": True}
    if settings.quantization != "none":
        options["quantization_config"] = _quantization(settings.quantization)
    try:
        # Whatever runs is diffusers' own code: a folder that brings its own is not loaded.
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"layer_flux.model: cannot load {settings.model}: {_first_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    match settings.cpu_offload:
        case "model":
            pipeline.enable_model_cpu_offload(device=device)
        case "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        case _:
            pipeline.to(device)
    if settings.compile:
        denoiser = pipeline.transformer if hasattr(pipeline, "transformer") else pipeline.unet
        denoiser.compile_repeated_blocks(fullgraph=True)
    return Generator(pipeline, settings, revision)


def _embedding_names(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The call's arguments that `encode_prompt`'s first outputs fill; none where the two do not fit together.

    FLUX.1 returns (embeddings, pooled embeddings, position ids) and FLUX.2 (embeddings, position ids). Pipelines that
    also take a mask embed to varying lengths, which cannot be stacked.
    """
    if "prompt_embeds" not in arguments or "prompt_embeds_mask" in arguments or "prompt_attention_mask" in arguments:
        return ()
    if "pooled_prompt_embeds" in arguments:
        # Stable Diffusion 3 and XL return negative embeddings between the two.
        return ("prompt_embeds", "pooled_prompt_embeds") if "true_cfg_scale" in arguments else ()
    return ("prompt_embeds",) if "text_encoder_out_layers" in arguments else ()


def _stacked(embeddings: Sequence[Embedding]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([each[name] for each in embeddings]) for name in embeddings[0]}


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"layer_flux.device is {name}, but torch finds no CUDA device; set it to auto or cpu")
    return torch.device(name)


def _folder_of(settings: ResolvedLayerFlux) -> tuple[Path, str]:
    """The local folder of the weights, fetched from the hub where needed, and the revision in it."""
    import diffusers

    if Path(settings.location).is_dir():
        return Path(settings.location), settings.revision
    try:
        # The first process of a machine fetches the weights into the hub's cache, where the others find them.
        with one_at_a_time(f"{settings.location}@{settings.revision}"):
            folder = Path(diffusers.DiffusionPipeline.download(settings.location, revision=settings.revision or None))
    except (OSError, ValueError) as error:
        raise UserError(f"layer_flux.model: cannot fetch {settings.model}: {_first_line(error)}") from error
    # The hub's cache names a snapshot's folder by its commit.
    return folder, folder.name


def _quantization(kind: str) -> Any:
    """Weights of the transformer in 8 bits; activations stay as they are."""
    from diffusers import PipelineQuantizationConfig, TorchAoConfig

    try:
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig
    except ImportError:
        raise UserError(f"layer_flux.quantization: {kind} needs torchao: pip install torchao") from None
    weights = Float8WeightOnlyConfig() if kind == "fp8" else Int8WeightOnlyConfig()
    return PipelineQuantizationConfig(quant_mapping={"transformer": TorchAoConfig(weights)})


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
