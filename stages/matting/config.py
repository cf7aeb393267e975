"""The `matting` section, and what stands behind its model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from layered.errors import UserError
from models import TINY

EMBEDDED_MODEL: Final = "layerprism-tiny"

DEFAULT_MODELS: Final[dict[str, str]] = {
    "layerprism": EMBEDDED_MODEL,
    "vitmatte": "hustvl/vitmatte-small-composition-1k",
    "rembg": "birefnet-general",
}
"""The back ends that are networks, each with the model it takes where none is configured."""

BACKENDS: Final = ("keyer", "layerprism", "vitmatte", "rembg", "triangulation", "native")
"""The ways to find alpha, in the order in which a reader meets them."""

FACTS_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
ARCHITECTURE: Final = "MattingNetwork"


class MattingConfig(BaseModel):
    """The `matting` section.

    Attributes:
        backend: how alpha is found. `keyer` is a closed form, `layerprism` our network, `vitmatte` transformers'
            ViTMatte within the keyer's trimap, `rembg` a model of that library, `native` takes the alpha of a generator
            that draws it; `triangulation` needs two pictures of a layer and is for `layerprism matte` only.
        model: of a network: a folder, for `vitmatte` also a hub id, for `rembg` one of its names; without one, the back
            end's own.
        revision: of a hub model, a branch, tag or commit.
        licence: of the model, recorded with the run; the embedded network knows its own.
        device: where a network runs.
        min_side: pictures with a shorter side below this are enlarged before, so that edges are smooth.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())

    backend: str = "keyer"
    model: str | None = None
    revision: str | None = None
    licence: str | None = None
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    min_side: int = Field(256, ge=1, le=4096)

    @field_validator("backend")
    @classmethod
    def _backend_exists(cls, backend: str) -> str:
        if backend not in BACKENDS:
            raise ValueError(f"there is no matting backend {backend!r}; valid here: {', '.join(BACKENDS)}")
        return backend

    @model_validator(mode="after")
    def _model_fits(self) -> MattingConfig:
        given = [name for name in ("model", "revision", "licence") if getattr(self, name) is not None]
        if given and self.backend not in DEFAULT_MODELS:
            raise ValueError(f"{given[0]} is for {', '.join(DEFAULT_MODELS)}: {self.backend} has no model")
        return self


@dataclass(frozen=True)
class MattingModel:
    """Which model mattes: empty strings for a back end without one.

    Attributes:
        location: its folder where it is a local one, else what the back end's library calls it.
    """

    model: str
    revision: str
    licence: str
    location: str


def resolve_model(config: MattingConfig) -> MattingModel:
    """The configured model, with the revision and licence that its folder tells. Needs no weights.

    Raises:
        UserError: when the folder of a `layerprism` model is missing or is none.
    """
    model = config.model or DEFAULT_MODELS.get(config.backend, "")
    facts: dict[str, Any] = {}
    location = model
    if config.backend == "layerprism":
        location = str(TINY / "matting") if model == EMBEDDED_MODEL else model
        facts = read_facts(Path(location))
    return MattingModel(
        model,
        config.revision or str(facts.get("revision", "")),
        config.licence or str(facts.get("licence", "")),
        location,
    )


def read_facts(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder that holds our matting network: its widths, revision and licence.

    Raises:
        UserError: when there is none, or it describes something else.
    """
    path = folder / FACTS_FILE
    try:
        facts = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(
            f"matting.model: {folder} holds no {FACTS_FILE}; name a folder that models/recipes/train_matting.py wrote, "
            f"or leave it out for the embedded one"
        ) from error
    except ValueError as error:
        raise UserError(f"matting.model: {path} is no JSON: {error}") from error
    widths = facts.get("widths") if isinstance(facts, dict) else None
    if not isinstance(facts, dict) or facts.get("architecture") != ARCHITECTURE or not isinstance(widths, list):
        raise UserError(f"matting.model: {path} describes no {ARCHITECTURE} with its widths")
    return facts
