"""The configuration of `layerprism evaluate`: which models, on which bench, measured with what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluation.bench import BenchConfig
from evaluation.features import FeaturesConfig
from filters.clip import ClipConfig
from pipeline.config_file import KeyPath, read_config_tree
from pipeline.config_validation import validated
from stages.layer_flux import EMBEDDED_MODEL

FILE_KEYS: tuple[KeyPath, ...] = (
    ("bench", "designs"),
    ("bench", "publication"),
    ("bench", "briefs"),
    ("bench", "truth"),
    ("features", "weights"),
)
"""Keys whose values are file names relative to the configuration file that they stand in; those of models are too."""

_MODEL_PATHS = ("art", "run", "samples")


class ModelConfig(BaseModel):
    """One of the `models`: exactly one of `art`, `run` and `samples`. Paths are relative to the file.

    Attributes:
        art: the folder of an ART or ART+ model, or ``layerprism-tiny``. A list holds trainings that differ by their
            seed alone: they share the draws of each brief.
        true_cfg: of `art`, in place of the sampler's: models may have guidance of their own.
        run: a configuration of `layerprism run`: MultiLayerFLUX with its generator, matting and checks.
        set: overrides of `run`, such as ``layer_flux.attempts=1``.
        samples: designs that are there already: a layered folder, a publication or a run with one. A design belongs to
            the brief whose id it has, with or without the number of its draw, or that its provenance names.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    art: str | tuple[str, ...] | None = None
    true_cfg: float | None = Field(None, ge=1)
    run: str | None = None
    set: tuple[str, ...] = ()
    samples: str | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if sum(each is not None for each in (self.art, self.run, self.samples)) != 1:
            raise ValueError("give exactly one of art, run and samples")
        if self.set and self.run is None:
            raise ValueError("`set` overrides a run's configuration: give it with run")
        if self.true_cfg is not None and self.art is None:
            raise ValueError("`true_cfg` is guidance of an ART model: give it with art")
        if self.art == ():
            raise ValueError("`art` is an empty list")
        return self

    @property
    def folders(self) -> tuple[str, ...]:
        """The models of `art`."""
        return (self.art,) if isinstance(self.art, str) else self.art or ()


class SamplerConfig(BaseModel):
    """The `sampler` section, the same for all ART models; null takes each model's own value.

    Attributes:
        batch: designs drawn at once.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: of transformer and text encoders; null takes bfloat16 on a GPU and float32 elsewhere.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    preset: Literal["default", "released"] = "default"
    steps: int | None = Field(None, ge=1)
    true_cfg: float | None = Field(None, ge=1)
    guidance: float | None = None
    batch: int = Field(4, ge=1)
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["float32", "bfloat16"] | None = None


class EvaluateConfig(BaseModel):
    """Everything about an evaluation.

    Attributes:
        name: the report's title.
        seed: another seed, other noise. All ART models begin with the same.
        task: ``text_to_layers``, or ``image_to_layers``: ART models are given the true design's picture and take it
            apart.
        models: by the names that they have in the report, in its order.
        compare: pairs ``[first, second]`` of names; null compares each model with all that stand before it.
        pictures: briefs that are shown side by side.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = "evaluation"
    seed: int = Field(0, ge=0, lt=2**63)
    task: Literal["text_to_layers", "image_to_layers"] = "text_to_layers"
    bench: BenchConfig
    models: dict[str, ModelConfig] = Field(min_length=1)
    compare: tuple[tuple[str, str], ...] | None = None
    sampler: SamplerConfig = SamplerConfig()
    clip: ClipConfig = ClipConfig()
    features: FeaturesConfig = FeaturesConfig()
    pictures: int = Field(12, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        known: dict[str, str] = {}
        for name in self.models:
            other = known.setdefault(folder_name(name), name)
            if other != name:
                raise ValueError(f"the models {other!r} and {name!r} would share a folder: rename one")
        strange = [name for pair in self.compare or () for name in pair if name not in self.models]
        if strange:
            raise ValueError(f"compare: there is no model {strange[0]!r}; there are {', '.join(self.models)}")
        if self.task == "image_to_layers":
            if self.bench.publication is None and self.bench.truth is None:
                raise ValueError("image_to_layers needs the true designs: give bench.truth or bench.publication")
            if drawing := [name for name, model in self.models.items() if model.run is not None]:
                raise ValueError(f"{drawing[0]}: MultiLayerFLUX draws from captions and takes no picture apart")
        return self

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """The pairs of models that are compared."""
        if self.compare is not None:
            return self.compare
        names = list(self.models)
        return tuple((later, names[place]) for number, later in enumerate(names) for place in range(number))


def load_evaluate_config(path: Path, overrides: Sequence[str] = ()) -> EvaluateConfig:
    """Reads a configuration file, what it extends, and `--set` overrides, whose paths are relative to nothing.

    Raises:
        UserError: for a missing or broken file, an unknown key or a wrong value; key, file and line are named.
    """
    models = read_config_tree(path).values.get("models")
    names = models if isinstance(models, dict) else {}
    keys = [*FILE_KEYS, *(("models", name, key) for name in names for key in _MODEL_PATHS)]
    return validated(EvaluateConfig, read_config_tree(path, overrides, keys, [EMBEDDED_MODEL]))


def folder_name(model: str) -> str:
    """A model's name in the names of folders: ``ART+`` is ``art-plus``."""
    return re.sub(r"[^a-z0-9]+", "-", model.lower().replace("+", " plus ")).strip("-") or "model"
