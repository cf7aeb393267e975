"""A tree of plain values as a configuration class; a mistake is told with its key, its place and the way out."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from layered.errors import UserError
from pipeline.config_file import ConfigTree, KeyPath

Config = TypeVar("Config", bound=BaseModel)


def validated(model: type[Config], tree: ConfigTree) -> Config:
    """The configuration that a tree describes.

    Raises:
        UserError: for an unknown key (with the nearest valid one) or a wrong value; key, file and line are named.
    """
    try:
        # Through JSON, because strict validation of Python values refuses lists where tuples are wanted.
        return model.model_validate_json(json.dumps(tree.values, default=str))
    except ValidationError as error:
        found = error.errors(include_url=False)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(_describe(found[0], tree, model) + more) from None


def _describe(error: ErrorDetails, tree: ConfigTree, model: type[BaseModel]) -> str:
    path: KeyPath = error["loc"]
    key = ".".join(map(str, path))
    place = tree.place(path)
    if error["type"] == "extra_forbidden":
        names = _names_at(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), names, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"valid here: {', '.join(names)}"
        return f"unknown key `{key}` in {place}; {hint}"
    if error["type"] == "missing":
        return f"the key `{key}` is missing in {place}"
    if error["type"] == "value_error":
        return f"`{key}` in {place}: {error['msg'].removeprefix('Value error, ')}"
    message = error["msg"].replace("an object", "a mapping of keys to values").replace(" after validation", "")
    message = message.replace("Tuple", "A list").replace("Input", "it")
    return f"`{key}` in {place} is {json.dumps(error['input'], default=str)}: {message[0].lower()}{message[1:]}"


def _names_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that may stand under `path`."""
    annotation: Any = model
    for part in path:
        annotation = _annotation_of(annotation, part)
    return list(annotation.model_fields) if _is_model(annotation) else []


def _annotation_of(annotation: Any, part: str | int) -> Any:
    if _is_model(annotation):
        return _unwrapped(annotation.model_fields[str(part)].annotation)
    arguments = get_args(annotation)
    return _unwrapped(arguments[-1] if get_origin(annotation) in (dict, Mapping) else arguments[0])


def _unwrapped(annotation: Any) -> Any:
    """The type inside `X | None` and `Annotated[X, …]`."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _unwrapped(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
