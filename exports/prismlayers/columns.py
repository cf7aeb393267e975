"""The columns of the published PrismLayers sets, as `datasets` declares them.

Source: the dataset cards of the `artplus` account (arXiv 2505.22523).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pyarrow as pa

IMAGE_TYPE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How `datasets` keeps an image in Parquet."""

SAMPLE_COLUMNS: Final = (
    ("id", "string"),
    ("whole_image", "image"),
    ("whole_caption", "string"),
    ("style_category", "string"),
    ("base_image", "image"),
    ("base_caption", "string"),
    ("layer_count", "int32"),
)
LAYER_COLUMNS: Final = (
    ("", "image"),
    ("_caption", "string"),
    ("_box", "int32s"),
    ("_width_dst", "int32"),
    ("_height_dst", "int32"),
)

_ARROW_TYPES: Final = {"string": pa.string(), "int32": pa.int32(), "int32s": pa.list_(pa.int32()), "image": IMAGE_TYPE}


def layer_column(index: int, part: str = "") -> str:
    """``layer_00`` for the lowest layer; ``layer_00_caption`` with the part ``_caption``."""
    return f"layer_{index:02d}{part}"


def columns(layers: int) -> list[tuple[str, str]]:
    """(name, kind) of every column of a set whose largest design has so many layers, in order."""
    of_layers = ((layer_column(index, part), kind) for index in range(layers) for part, kind in LAYER_COLUMNS)
    return [*SAMPLE_COLUMNS, *of_layers]


def parquet_schema(layers: int) -> pa.Schema:
    """The Arrow schema, with the note by which `datasets` knows images from structs."""
    fields = [(name, _ARROW_TYPES[kind]) for name, kind in columns(layers)]
    note = {"info": {"features": {name: _note(kind) for name, kind in columns(layers)}}}
    return pa.schema(fields, {"huggingface": json.dumps(note)})


def card_features(layers: int) -> list[dict[str, Any]]:
    """The list ``dataset_info.features`` of a dataset card."""
    return [
        {"name": name, "sequence": "int32"} if kind == "int32s" else {"name": name, "dtype": kind}
        for name, kind in columns(layers)
    ]


def split_name(style: str) -> str:
    """The split that holds a style: ``neon graffiti`` lies in ``neon_graffiti``, what has no style in ``unstyled``."""
    return re.sub(r"[^a-z0-9]+", "_", style.lower()).strip("_") or "unstyled"


def _note(kind: str) -> dict[str, Any]:
    if kind == "image":
        return {"_type": "Image"}
    if kind == "int32s":
        return {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "Sequence"}
    return {"dtype": kind, "_type": "Value"}
