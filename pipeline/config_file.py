"""Configuration files as trees of plain values that remember where each value was written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from layered.errors import UserError
from shards.files import is_remote

KeyPath = tuple[str | int, ...]
"""Where a value stands in a tree: ``("plan", "splits", "val")``; numbers are places in a list."""


@dataclass(frozen=True)
class ConfigTree:
    """Nested mappings, lists and scalars, and for each of them the file and line that it comes from."""

    values: Mapping[str, Any]
    places: Mapping[KeyPath, str]

    def place(self, path: KeyPath) -> str:
        """Where `path`, or the nearest thing around it, was written: ``configs/demo.yaml:12``."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return "the defaults"


def read_config_tree(
    path: Path, overrides: Sequence[str] = (), file_keys: Collection[KeyPath] = (), built_in: Collection[str] = ()
) -> ConfigTree:
    """A configuration file merged over those that it extends, with `--set` overrides on top.

    Mappings are merged key by key; lists and scalars replace what was there.

    Args:
        overrides: texts such as ``layer_flux.attempts=2``; the value is read as YAML.
        file_keys: keys whose values name files, or list them. In a configuration file such a name is relative to that
            file.
        built_in: values of such keys that name no file.

    Raises:
        UserError: when a file is missing or not YAML, when files extend each other in a circle, when a key is given
            twice, or when an override is not of the form ``key=value``.
    """
    return overridden(_read_with_parents(path, file_keys, built_in, ()), overrides)


def overridden(tree: ConfigTree, overrides: Sequence[str]) -> ConfigTree:
    """The tree with `--set` overrides on top. Raises UserError when one is not of the form ``key=value``."""
    for override in overrides:
        tree = merged(tree, _read_override(override))
    return tree


def _read_with_parents(
    path: Path, file_keys: Collection[KeyPath], built_in: Collection[str], children: tuple[Path, ...]
) -> ConfigTree:
    if path.resolve() in children:
        raise UserError(f"{path} extends itself through {' → '.join(child.name for child in children)}")
    tree = _read_file(path)
    values = dict(tree.values)
    parent = values.pop("extends", None)
    for key in file_keys:
        _make_relative_to(path.parent, values, key, built_in)
    tree = ConfigTree(values, tree.places)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise UserError(f"`extends` in {tree.place(('extends',))} is {parent!r}: the name of one file is wanted")
    below = _read_with_parents(path.parent / parent, file_keys, built_in, (*children, path.resolve()))
    return merged(below, tree)


def _read_file(path: Path) -> ConfigTree:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        nearby = sorted(file.name for file in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        guess = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f"; did you mean {path.parent / guess[0]}?" if guess else ""
        raise UserError(f"there is no configuration file {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the configuration file {path}: {error}") from error
    values, places = _parse(text, str(path))
    if not isinstance(values, dict):
        raise UserError(f"{path}:1 holds {values!r} at its top: a mapping of keys to values is wanted")
    return ConfigTree(values, places)


def _read_override(override: str) -> ConfigTree:
    source = f"--set {override}"
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UserError(f"{source}: the form is key=value, as in --set layer_flux.attempts=2")
    tree: Any = _parse(text, source, lines=False)[0] if text.strip() else None
    for name in reversed(names):
        tree = {name: tree}
    return ConfigTree(tree, dict.fromkeys(_paths_in(tree, ()), source))


def _paths_in(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    if isinstance(value, (Mapping, list)):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _paths_in(item, (*path, key))


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-4 is a number, as YAML 1.2 and every reader would have it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _parse(text: str, source: str, *, lines: bool = True) -> tuple[Any, dict[KeyPath, str]]:
    """A YAML text as plain values ({} when empty) and the place of each; errors name lines only where asked to."""
    places: dict[KeyPath, str] = {}
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return ({} if node is None else _plain(loader, node, (), source, places)), places
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark and lines else source
        raise UserError(f"{where}: broken YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{source}: broken YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def _plain(loader: _Loader, node: yaml.Node, path: KeyPath, source: str, places: dict[KeyPath, str]) -> Any:
    places[path] = f"{source}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*path, index), source, places) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    _check_keys_differ(node, path, source)
    loader.flatten_mapping(node)
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        values[key] = _plain(loader, value_node, (*path, key), source, places)
        places[*path, key] = f"{source}:{key_node.start_mark.line + 1}"
    return values


def _check_keys_differ(node: yaml.MappingNode, path: KeyPath, source: str) -> None:
    """YAML forbids equal keys, but PyYAML silently takes the last."""
    seen = set()
    for key_node, _ in node.value:
        if key_node.value in seen:
            dotted = ".".join(map(str, (*path, key_node.value)))
            line = key_node.start_mark.line + 1
            raise UserError(f"{source}:{line}: the key `{dotted}` is given twice")
        seen.add(str(key_node.value))


def merged(below: ConfigTree, above: ConfigTree) -> ConfigTree:
    """Two trees as one: mappings key by key, everything else from `above` where both have it."""
    replaced = tuple(_replaced_paths(below.values, above.values, ()))
    kept = {
        path: place for path, place in below.places.items() if not any(path[: len(gone)] == gone for gone in replaced)
    }
    return ConfigTree(_merged_values(below.values, above.values), dict(above.places) | kept)


def _merged_values(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return dict(below) | {
        key: _merged_values(below[key], value) if key in below else value for key, value in above.items()
    }


def _replaced_paths(below: Any, above: Any, path: KeyPath) -> Iterator[KeyPath]:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        yield path
        return
    for key, value in above.items():
        if key in below:
            yield from _replaced_paths(below[key], value, (*path, key))


def _relative_to(folder: Path, value: str) -> str:
    return value if is_remote(value) else str(folder / value)


def _make_relative_to(folder: Path, values: dict[str, Any], key: KeyPath, built_in: Collection[str]) -> None:
    *sections, name = key
    section: Any = values
    for part in sections:
        section = section.get(part) if isinstance(section, dict) else None
    value = section.get(name) if isinstance(section, dict) else None

    def file(value: Any) -> Any:
        return _relative_to(folder, value) if isinstance(value, str) and value not in built_in else value

    if isinstance(section, dict) and value is not None:
        section[name] = [file(each) for each in value] if isinstance(value, list) else file(value)
