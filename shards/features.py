"""What the dataset card must declare so that Hugging Face `datasets` reads samples of unequal layer counts.

Left to itself, `datasets` infers a schema from the first five samples, and refuses or silently drops what they lack. So
every member name of the set is declared, and the sidecar's JSON as one struct that fits all samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

JsonType = str | list[Any] | dict[str, Any] | None
"""The type of a JSON value: a scalar's Arrow name, ``[element type]``, ``{field: type}``, or None when unknown."""


def json_type(value: object) -> JsonType:
    """The type of one JSON value; that of an empty list's elements is unknown."""
    if isinstance(value, dict):
        return {name: json_type(field) for name, field in value.items()}
    if isinstance(value, list):
        element: JsonType = None
        for entry in value:
            element = merged_type(element, json_type(entry))
        return [element]
    if value is None:
        return None
    # bool before int: True is an int to Python.
    for kind, name in ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string")):
        if isinstance(value, kind):
            return name
    raise ValueError(f"{value!r} is not a JSON value")


def merged_type(one: JsonType, other: JsonType) -> JsonType:
    """The type that fits both. Raises ValueError when there is none."""
    if one is None or other is None or one == other:
        return one if other is None else other
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: merged_type(one.get(name), other.get(name)) for name in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return [merged_type(one[0], other[0])]
    if {str(one), str(other)} == {"int64", "float64"}:
        return "float64"
    raise ValueError(f"JSON values of the types {one} and {other} stand in the same place")


def declared_features(image_members: Iterable[str], sidecar: JsonType) -> list[dict[str, Any]]:
    """The list ``dataset_info.features`` of a dataset card, for all image members that occur and the sidecars' type."""
    strings = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
    images = [{"name": name, "dtype": "image"} for name in image_members]
    return [*strings, *sorted([*images, _field("json", sidecar)], key=lambda field: str(field["name"]))]


def _field(name: str, kind: JsonType) -> dict[str, Any]:
    if isinstance(kind, str):
        return {"name": name, "dtype": kind}
    if isinstance(kind, list):
        return {"name": name, "list": _element(kind[0])}
    return {"name": name, "struct": _fields(kind or {})}


def _element(kind: JsonType) -> Any:
    if isinstance(kind, dict):
        return _fields(kind)
    return {"list": _element(kind[0])} if isinstance(kind, list) else kind


def _fields(struct: dict[str, JsonType]) -> list[dict[str, Any]]:
    """A field that never held a value is left out: readers ignore what is undeclared."""
    return [_field(name, kind) for name, kind in sorted(struct.items()) if kind not in (None, {}, [None])]
