"""The configuration of a run: sections that live with what they configure, composed and checked here."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from filters.config import FiltersConfig
from layered.errors import UserError
from pipeline.config_file import ConfigTree, KeyPath, merged, overridden, read_config_tree
from pipeline.executor_config import ExecutorConfig
from pipeline.plan_config import PlanConfig
from pipeline.report_config import ReportConfig
from shards.writer import ShardConfig
from stages.layer_flux import LayerFluxConfig
from stages.matting import MattingConfig
from stages.multi_layer_flux import ComposeConfig
from stages.text_layer import TextConfig

FILE_KEYS: tuple[KeyPath, ...] = (("plan", "briefs", "path"), ("filters", "aesthetic", "head"))
"""Keys whose values are file names relative to the configuration file that they stand in."""


class RunConfig(BaseModel):
    """Everything about a run. Sections that are not given take their defaults.

    Attributes:
        name: what the run is called in reports and on the dataset card.
        seed: all noise derives from it.
        keep_raw: keep each layer's RGB before matting in the chunks, so that a better matte needs no GPU again.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = "layerprism"
    seed: int = Field(0, ge=0, lt=2**63)
    keep_raw: bool = True
    plan: PlanConfig = PlanConfig()
    layer_flux: LayerFluxConfig = LayerFluxConfig()
    matting: MattingConfig = MattingConfig()
    text: TextConfig = TextConfig()
    compose: ComposeConfig = ComposeConfig()
    filters: FiltersConfig = FiltersConfig()
    shards: ShardConfig = ShardConfig()
    executor: ExecutorConfig = ExecutorConfig()
    report: ReportConfig = ReportConfig()


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a configuration file, what it extends, and `--set` overrides such as ``layer_flux.attempts=2``.

    Raises:
        UserError: for a missing or broken file, an unknown key (with the nearest valid one), or a wrong value; the
            message names the key, the file and the line.
    """
    return _validated(read_config_tree(path, overrides, FILE_KEYS))


def config_of_values(
    values: Mapping[str, Any], source: str, overrides: Sequence[str] = (), fragment: Path | None = None
) -> RunConfig:
    """A configuration from values that were read elsewhere, such as those kept in `run.json`; errors as `load_config`.

    Args:
        source: what error messages say of where the values stand.
        fragment: a configuration file whose values replace them where it has any.
    """
    tree = ConfigTree(values, {(): source})
    if fragment is not None:
        tree = merged(tree, read_config_tree(fragment, (), FILE_KEYS))
    return _validated(overridden(tree, overrides))


def _validated(tree: ConfigTree) -> RunConfig:
    try:
        # Through JSON, because strict validation of Python values refuses lists where tuples are wanted.
        return RunConfig.model_validate_json(json.dumps(tree.values, default=str))
    except ValidationError as error:
        found = error.errors(include_url=False)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(_describe(found[0], tree) + more) from None


def config_schema() -> dict[str, Any]:
    """JSON Schema of a configuration file, for editors; committed as `configs/run.schema.json`."""
    schema = RunConfig.model_json_schema()
    schema["properties"]["extends"] = {
        "description": "another configuration file, relative to this one, whose values stand where this one has none",
        "type": "string",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def write_config_schema(path: Path) -> None:
    """Writes `config_schema` as JSON."""
    path.write_text(json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _describe(error: ErrorDetails, tree: ConfigTree) -> str:
    path: KeyPath = error["loc"]
    key = ".".join(map(str, path))
    place = tree.place(path)
    if error["type"] == "extra_forbidden":
        names = _names_at(RunConfig, path[:-1])
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
