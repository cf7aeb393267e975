"""The sidecar: what is known of a sample beside its pixels, `KEY.json` in a tar (schema version 1).

Field types are constant and nothing is ever null, because readers that infer a schema from the first rows break on
both. What was not given is an empty string.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from layered.box import Box
from layered.brief import describe_validation_error
from layered.image import Layer
from layered.png import encode_png

SCHEMA_VERSION: Final = 1


class LayerRecord(BaseModel):
    """One layer of a sample.

    Attributes:
        box: the placed box ``[x0, y0, x1, y1]``, tight around the fitted layer.
        layout_box: the box that the brief asked for.
        seed: of the chosen attempt.
        sha256: of the layer's PNG bytes.
        model, revision, licence: who drew it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int
    kind: Literal["image", "text"]
    caption: str
    box: tuple[int, int, int, int]
    layout_box: tuple[int, int, int, int]
    seed: int
    attempt: int
    sha256: str
    model: str
    revision: str
    licence: str
    text: str = ""
    font: str = ""
    color: str = ""

    @classmethod
    def of_layer(
        cls,
        index: int,
        layer: Layer,
        caption: str,
        layout_box: Box | None = None,
        *,
        text: str = "",
        model: str = "",
        licence: str = "",
    ) -> Self:
        """The record of a layer that no run drew: nothing is known of seeds and attempts.

        Args:
            layout_box: None for the placed box.
            text: what a text layer says; a layer without is an image.
        """
        box = layer.box.as_tuple()
        return cls(
            index=index,
            kind="text" if text else "image",
            caption=caption,
            box=box,
            layout_box=layout_box.as_tuple() if layout_box else box,
            seed=0,
            attempt=0,
            sha256=hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
            model=model,
            revision="",
            licence=licence,
            text=text,
        )

    def placed_box(self) -> Box:
        """The placed box as a `Box`."""
        return Box.of(self.box)


class Sidecar(BaseModel):
    """Everything about one sample but its pixels.

    Attributes:
        scores: filter scores of the whole image by name; those of layers stand in the run's score rows.
        decision: a person's verdict, or an empty string.
        provenance: where the sample comes from, as text by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str
    canvas: tuple[int, int]
    style_category: str
    whole_caption: str
    base_caption: str
    layer_count: int
    scores: dict[str, float] = {}
    decision: str = ""
    layers: tuple[LayerRecord, ...]
    provenance: dict[str, str] = {}

    @model_validator(mode="after")
    def _layers_are_counted(self) -> Self:
        if self.layer_count != len(self.layers):
            raise ValueError(f"layer_count is {self.layer_count}, but {len(self.layers)} layers are listed")
        return self

    def to_json(self) -> bytes:
        """The JSON bytes that go into a tar; equal sidecars have equal bytes."""
        fields = self.model_dump(mode="json")
        document = {"schema": fields.pop("schema_version"), **fields}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Reads `to_json`'s bytes. Raises ValueError in one line when they are not a sidecar of this schema."""
        try:
            document = json.loads(data)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"the sidecar is not JSON: {error}") from error
        if not isinstance(document, dict) or document.get("schema") != SCHEMA_VERSION:
            raise ValueError(f"the sidecar does not have schema {SCHEMA_VERSION}")
        document["schema_version"] = document.pop("schema")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ValueError(f"the sidecar is not valid: {describe_validation_error(error)}") from error
