"""LayerFLUX, first half: one RGB picture per layer on a flat background, from any diffusers text-to-image pipeline.

PrismLayers (arXiv 2505.22523) draws each layer by its own prompt, which a suffix completes with the wish for a plain
background. The suffix's wording, the sizes and the sampler's settings are configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layered.arrays import Size
from layered.brief import describe_validation_error
from layered.errors import UserError
from models import TINY
from stages.layer_check import AcceptConfig
from stages.records import Draw, Drawn
from stages.simulated import SIMULATED_MODEL, SimulatedConfig, SimulatedGenerator
from stages.stage import Failed, Stage

if TYPE_CHECKING:
    from stages.generator import Generator

EMBEDDED_MODEL = "layerprism-tiny"
DEFAULTS_FILE = "layerprism.json"

Dtype = Literal["float32", "bfloat16", "float16"]


class _ModelSettings(BaseModel):
    """What a model needs at call time; as configuration, and as a model folder's `layerprism.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    revision: str | None = None
    licence: str | None = None
    suffix: str | None = None
    prompt_template: str | None = None
    base_prompt_template: str | None = None
    negative_prompt: str | None = None
    layer_sizes: tuple[Size, ...] | None = Field(None, min_length=1)
    base_sizes: tuple[Size, ...] | None = Field(None, min_length=1)
    steps: int | None = Field(None, ge=1, alias="num_inference_steps")
    true_cfg_scale: float | None = Field(None, ge=0)
    guidance_scale: float | None = Field(None, ge=0)
    max_sequence_length: int | None = Field(None, ge=1)
    dtype: Dtype | None = None


class LayerFluxConfig(BaseModel):
    """The `layer_flux` section. What is left out comes from the model folder's `layerprism.json`, else from FLUX.1-dev.

    Attributes:
        model: a diffusers folder, a hub id, ``layerprism-tiny``, the embedded model, or ``simulated``, which waits
            and draws flat shapes.
        revision: of a hub model, a branch, tag or commit; what was really loaded is recorded.
        licence: recorded with every layer.
        suffix: ends the prompt of a layer and asks for the plain background.
        prompt_template: of layers, with ``{caption}``, ``{style}`` and ``{suffix}``; base images have their own.
        base_prompt_template: of base images, with ``{caption}`` and ``{style}``.
        negative_prompt: what not to draw, where `true_cfg_scale` is above 1.
        layer_sizes, base_sizes: ``[width, height]`` that may be generated; the nearest aspect is taken.
        batch_size: pictures drawn together.
        steps: of the sampler.
        true_cfg_scale: classifier-free guidance with two forwards per step; 1 switches it off.
        guidance_scale: the distilled guidance of FLUX.1-dev, an input of the model.
        max_sequence_length: tokens of a prompt; longer ones are cut.
        attempts: how often a layer is drawn at most.
        accept: when a drawn layer is good enough not to be drawn again.
        dtype: of the weights.
        device: ``auto``, ``cpu`` or ``cuda``.
        cpu_offload: what is on the GPU only while it works: nothing, whole parts, or their layers.
        compile: of the transformer by `torch.compile`.
        quantization: of the transformer's weights.
        seconds_per_layer: for the plan's estimate alone.
        simulated: of the simulated model: its times, faults and shapes.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(EMBEDDED_MODEL, min_length=1)
    revision: str | None = None
    licence: str | None = None
    suffix: str | None = None
    prompt_template: str | None = None
    base_prompt_template: str | None = None
    negative_prompt: str | None = None
    layer_sizes: tuple[Size, ...] | None = Field(None, min_length=1)
    base_sizes: tuple[Size, ...] | None = Field(None, min_length=1)
    batch_size: int = Field(16, ge=1)
    steps: int | None = Field(None, ge=1)
    true_cfg_scale: float | None = Field(None, ge=0)
    guidance_scale: float | None = Field(None, ge=0)
    max_sequence_length: int | None = Field(None, ge=1)
    attempts: int = Field(1, ge=1)
    accept: AcceptConfig = AcceptConfig()
    dtype: Dtype | None = None
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    cpu_offload: Literal["none", "model", "sequential"] = "none"
    compile: bool = False
    quantization: Literal["none", "fp8", "int8"] = "none"
    seconds_per_layer: float | None = Field(None, gt=0)
    simulated: SimulatedConfig = SimulatedConfig()


class ResolvedLayerFlux(LayerFluxConfig):
    """A configuration with nothing left open.

    Attributes:
        guidance_scale, true_cfg_scale, max_sequence_length: passed to pipelines that take them.
        revision: empty where neither the configuration nor the model folder tells one.
    """

    revision: str
    licence: str
    suffix: str
    prompt_template: str
    base_prompt_template: str
    negative_prompt: str
    layer_sizes: tuple[Size, ...]
    base_sizes: tuple[Size, ...]
    steps: int
    true_cfg_scale: float
    guidance_scale: float
    max_sequence_length: int
    dtype: Dtype

    @property
    def location(self) -> str:
        """The folder or hub id to load from."""
        return model_location(self.model)


_MEGAPIXEL: tuple[Size, ...] = ((1024, 1024), (1216, 832), (832, 1216), (1344, 768), (768, 1344))

_FLUX_SETTINGS = ResolvedLayerFlux(
    revision="",
    licence="",
    suffix="one single object, centered and complete, isolated on a plain uniform gray background, no shadow",
    prompt_template="{caption}, {style} style, {suffix}",
    base_prompt_template="{caption}, {style} style",
    negative_prompt="",
    layer_sizes=_MEGAPIXEL,
    base_sizes=_MEGAPIXEL,
    steps=28,
    true_cfg_scale=1.0,
    guidance_scale=3.5,
    max_sequence_length=512,
    dtype="bfloat16",
)


_SIMULATED_SETTINGS = _ModelSettings(
    revision="1",
    licence="CC0-1.0",
    layer_sizes=((32, 32), (40, 24), (24, 40)),
    base_sizes=((32, 32), (40, 24), (24, 40)),
    dtype="float32",
)


def model_location(model: str) -> str:
    """Where a configured model is: the embedded model's folder, or what was configured."""
    return str(TINY) if model == EMBEDDED_MODEL else model


def resolve_defaults(config: LayerFluxConfig) -> ResolvedLayerFlux:
    """The configuration completed by the model folder's `layerprism.json`, if there is one, and FLUX.1-dev's settings.

    Needs no weights, so that a plan can be made without them.

    Raises:
        UserError: when a local model folder is missing, is not a diffusers folder, or its `layerprism.json` is wrong.
    """
    own = _settings_of(config.model)
    chosen = config.model_dump(exclude_none=True)
    return _FLUX_SETTINGS.model_copy(
        update=own.model_dump(exclude_none=True) | {name: getattr(config, name) for name in chosen}
    )


def _settings_of(model: str) -> _ModelSettings:
    """What stands in the model's folder; nothing for a hub model."""
    if model == SIMULATED_MODEL:
        return _SIMULATED_SETTINGS
    folder = Path(model_location(model))
    if not folder.is_dir():
        if model == EMBEDDED_MODEL or _looks_local(model):
            raise UserError(f"layer_flux.model: {folder} does not exist; give a diffusers folder or an id owner/name")
        return _ModelSettings()
    if not (folder / "model_index.json").is_file():
        raise UserError(f"layer_flux.model: {folder} is not a diffusers folder: it holds no model_index.json")
    file = folder / DEFAULTS_FILE
    if not file.is_file():
        return _ModelSettings()
    try:
        return _ModelSettings.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UserError(f"{file}: {describe_validation_error(error)}") from None


def _looks_local(model: str) -> bool:
    """Whether a model name is meant as a path: a hub id is ``owner/name`` and nothing else."""
    owner, _, name = model.partition("/")
    return model.startswith((".", "/", "~")) or not name or "/" in name or Path(owner).is_dir()


class LayerFlux(Stage[Draw, Drawn]):
    """Draws batches of equal size.

    Guarantees: every draw has its own noise generator, seeded by the draw, and its prompt is embedded alone; so a
    picture depends on its draw and, in the last bits, on the batch's shape, never on its neighbours.
    """

    name = "layer_flux"

    def __init__(self, config: LayerFluxConfig) -> None:
        self._config = config
        self._generator: Generator | SimulatedGenerator | None = None

    def setup(self) -> None:
        """Loads the pipeline. Raises UserError when there is none where the configuration says."""
        settings = resolve_defaults(self._config)
        if self._config.model == SIMULATED_MODEL:
            self._generator = SimulatedGenerator(settings)
        else:
            from stages.generator import load_generator

            self._generator = load_generator(settings)

    def process(self, batch: Sequence[Draw]) -> list[Drawn | Failed]:
        """Draws a batch. Raises ValueError when its sizes differ, and whatever the pipeline raises."""
        assert self._generator is not None, "setup() comes first"
        if not batch:
            return []
        size = batch[0].size
        if any(draw.size != size for draw in batch):
            raise ValueError(f"the draws of a batch must have one size, not {sorted({draw.size for draw in batch})}")
        pictures = self._generator.draw([(draw.prompt, draw.seed) for draw in batch], size)
        shape = len(batch), *size
        return [
            Drawn(draw, rgb, shape, self._config.model, self._generator.revision, self._generator.settings.licence)
            for draw, rgb in zip(batch, pictures, strict=True)
        ]
