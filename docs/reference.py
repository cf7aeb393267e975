"""A hook of mkdocs: the reference pages, made of the command line and of the configuration classes as they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel

from art_model.train_config import TrainConfig
from pipeline.cli import app
from pipeline.config import RunConfig
from pipeline.evaluate_config import EvaluateConfig

CONFIGURATIONS: Mapping[str, tuple[str, type[BaseModel], str]] = {
    "configuration": ("Run configuration", RunConfig, "`layerprism run`, `plan`, `shard`, `import`"),
    "training": ("Training configuration", TrainConfig, "`layerprism train`"),
    "evaluation": ("Evaluation configuration", EvaluateConfig, "`layerprism evaluate`"),
}

MANY = 3
"""Keys of one section that hold the same kind of section share one description."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages = {name: configuration_page(*about) for name, about in CONFIGURATIONS.items()}
    for name, text in {"commands": commands_page(), **pages}.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands_page() -> str:
    """Every command with its arguments and options."""
    # Newer versions of Typer bring a click of their own, so nothing here asks for classes of click's.
    group: Any = typer.main.get_command(app)
    lines = [
        "# Commands\n",
        "Exit codes: 0 done, 1 failed work, 2 wrong input, 130 stopped by Ctrl-C. Every error is one line that says "
        "what is wrong, where, and what to do.\n",
    ]
    for name, command in sorted(group.commands.items()):
        lines += [f"## layerprism {name}\n", f"{command.help}\n", f"```text\n{_usage(name, command)}\n```\n"]
        if rows := [_parameter_row(parameter) for parameter in command.params if parameter.name != "help"]:
            lines += ["| | | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def configuration_page(title: str, model: type[BaseModel], commands: str) -> str:
    """Every key of a configuration class, section by section."""
    schema = model.model_json_schema()
    intro = (
        f"What {commands} read: YAML, checked strictly. An unknown key is refused with the nearest valid one. "
        "`extends:` names another file whose values stand where this one has none; `--set section.key=value` "
        "overrides single values."
    )
    return "\n".join([f"# {title}\n", f"{intro}\n", *_section("", schema, schema.get("$defs", {}))])


def _usage(name: str, command: Any) -> str:
    arguments = [_metavar(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    return " ".join(["layerprism", name, *arguments, "[OPTIONS]"])


def _metavar(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return name if argument.required else f"[{name}]"


def _parameter_row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    name = ", ".join((*parameter.opts, *parameter.secondary_opts)) if is_option else _metavar(parameter)
    default = parameter.default
    note = "" if default in (None, "", False) or callable(default) else f"default `{default}`"
    return f"| `{name}` | {_cell(parameter.help or '')} | {'required' if parameter.required else note} |"


def _section(
    path: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """One section and, after it, those below it.

    Args:
        given: defaults that the section above gives to this one's keys.
    """
    about, attributes = _docstring(str(schema.get("description", "")))
    if path:
        yield f"{'#' * min(2 + path.count('.'), 4)} `{path}`\n"
        yield f"{about}\n"
    fields: Mapping[str, Any] = schema.get("properties", {})
    names = Counter(_reference(field) for field in fields.values())
    below: dict[str, tuple[Mapping[str, Any], Any]] = {}
    rows = []
    for key, field in fields.items():
        name = _reference(field)
        section = definitions.get(name, {})
        default = given[key] if given and key in given else field.get("default", ...)
        full = f"{path}.{key}" if path else key
        if not section.get("properties"):
            text = attributes.get(key) or str(field.get("description", ""))
            rows.append(f"| `{key}` | {_type(field, definitions)} | {_default(default)} | {_cell(text)} |")
        elif names[name] < MANY:
            below[full] = section, default
        else:
            text = attributes.get(key) or "see below"
            values = ", ".join(f"{inner}: {_plain(value)}" for inner, value in (default or {}).items())
            rows.append(f"| `{key}` | section | `{{{values}}}` | {_cell(text)} |")
            below[f"{path}.<name>" if path else "<name>"] = section, None
    if rows:
        yield "| key | type | default | |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""
    for full, (section, default) in below.items():
        yield from _section(full, section, definitions, default if isinstance(default, Mapping) else None)


def _reference(field: Mapping[str, Any]) -> str:
    """The name of the section that a field holds, also where null may stand in its place; else empty."""
    for option in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in option:
            return str(option["$ref"]).rpartition("/")[2]
    return ""


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first part of a docstring, and what it says of each attribute; ``a, b: text`` counts for both."""
    about, _, listed = text.partition("Attributes:\n")
    attributes: dict[str, str] = {}
    names: list[str] = []
    for line in listed.splitlines():
        if match := re.match(r"    (\w[\w, ]*): (.*)", line):
            names = [name.strip() for name in match[1].split(",")]
            attributes |= dict.fromkeys(names, match[2].strip())
        elif line.startswith("        ") and names:
            attributes |= {name: f"{attributes[name]} {line.strip()}" for name in names}
        elif line.strip() and not line.startswith("    "):
            break
    return " ".join(about.split()), attributes


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        return " or ".join(_type(option, definitions) for option in field["anyOf"])
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return _type(definitions[name], definitions) if "enum" in definitions[name] else name
    if field.get("type") == "array":
        return f"list of {_type(field['items'], definitions)}" if isinstance(field.get("items"), dict) else "list"
    return str(field.get("type", "any"))


def _default(value: Any) -> str:
    if value is ...:
        return "required"
    return "" if value in ("", [], {}) else f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    """Text that may stand in a Markdown table."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")
