"""Where briefs come from: a JSONL file, PrismLayers Parquet, ART's anonymous layouts, or the designer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from exports.prismlayers.reader import LARGEST_BOX, MOST_LAYERS, canvas_of, iterate_rows, layers_of, parquet_files
from layered.brief import BadBrief, Brief, describe_validation_error, iterate_briefs
from layered.errors import UserError
from pipeline.designer import design_briefs
from pipeline.plan_config import BriefsConfig, PlanConfig


@dataclass(frozen=True)
class FoundBrief:
    """A brief and where it stands; rows of Parquet count as lines, the first is 1."""

    path: Path
    line: int
    brief: Brief


@dataclass(frozen=True)
class BriefList:
    """The briefs of a run, in order.

    Attributes:
        left_out: bad briefs that the run goes without.
        designed: whether the designer made them, so that there are as many as anybody asks for.
    """

    briefs: Sequence[Brief]
    left_out: tuple[BadBrief, ...] = ()
    designed: bool = False


def load_briefs(config: PlanConfig, seed: int) -> BriefList:
    """The briefs that a run's configuration asks for.

    Args:
        seed: the run's seed; the designer composes from it.

    Raises:
        UserError: when there is no brief, or when some are bad and `skip_bad_briefs` is off.
    """
    if config.briefs.path is None:
        if config.most_samples is None:
            raise UserError("plan.samples is needed when the designer makes the briefs (plan.briefs.path is not given)")
        count = math.ceil(config.most_samples / (config.variations or 1))
        return BriefList(design_briefs(config.designer, seed, count), designed=True)
    found, bad = read_brief_file(config.briefs)
    problems = [(each, cannot_be_drawn(each.brief)) for each in found]
    bad += [BadBrief(each.path, each.line, problem) for each, problem in problems if problem]
    bad.sort(key=lambda each: (each.path, each.line))
    briefs = tuple(each.brief for each, problem in problems if not problem)
    if bad and not config.skip_bad_briefs:
        more = f"; and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise UserError(
            f"{len(bad)} of {len(bad) + len(briefs)} briefs cannot be used: {'; '.join(map(str, bad[:10]))}{more}. "
            "Correct them, or start without them: plan.skip_bad_briefs: true"
        )
    if not briefs:
        raise UserError(f"{config.briefs.path} holds no {'usable ' if bad else ''}brief")
    return BriefList(briefs, tuple(bad))


def read_brief_file(config: BriefsConfig) -> tuple[list[FoundBrief], list[BadBrief]]:
    """The readable and the unreadable briefs of `config.path`, both in the order of the file.

    Raises:
        UserError: when the file is missing or is not of the format that it is said to be.
    """
    if config.path is None or not Path(config.path).exists():
        raise UserError(f"there is no brief file {config.path} (plan.briefs.path)")
    found: list[FoundBrief] = []
    bad: list[BadBrief] = []
    place_of: dict[str, str] = {}
    for path, line, brief in _READERS[config.format](Path(config.path)):
        if isinstance(brief, BadBrief):
            bad.append(brief)
        elif brief.id in place_of:
            bad.append(BadBrief(path, line, f"id {brief.id!r} was already used at {place_of[brief.id]}"))
        else:
            place_of[brief.id] = f"{path.name}:{line}"
            found.append(FoundBrief(path, line, brief))
    return found, bad


def cannot_be_drawn(brief: Brief) -> str | None:
    """Why a readable brief is of no use to a run, or None when it can be drawn."""
    if not brief.layers:
        return "it has no layers"
    if len(brief.layers) > MOST_LAYERS:
        return f"it has {len(brief.layers)} layers; at most {MOST_LAYERS} are possible"
    if not brief.base_caption.strip():
        return "base_caption is empty: there is nothing to draw the base image from"
    anonymous = [str(i) for i, layer in enumerate(brief.layers) if layer.kind == "image" and not _says(layer.caption)]
    if anonymous:
        return f"layers without a caption cannot be drawn: {', '.join(anonymous)}; LayerFLUX needs a semantic layout"
    for index, layer in enumerate(brief.layers):
        if max(layer.placed_box().size) > LARGEST_BOX * max(brief.canvas):
            canvas = f"{brief.canvas[0]}×{brief.canvas[1]}"
            return f"layers.{index}.box {list(layer.box)} is over {LARGEST_BOX} times as long as the canvas of {canvas}"
    return None


def _says(caption: str | None) -> bool:
    return caption is not None and bool(caption.strip())


_Row = tuple[Path, int, Brief | BadBrief]
_Source = TypeVar("_Source")


def _read_jsonl(path: Path) -> Iterator[_Row]:
    for line, brief in iterate_briefs(path):
        yield path, line, brief


def _read_layouts(path: Path) -> Iterator[_Row]:
    """ART's layouts: roles `merged` and `background` are implied by every brief, so they are dropped."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read layouts from {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield path, number, brief_or_bad(path, number, line, fields_of_layout)


def fields_of_layout(line: str) -> dict[str, Any]:
    """A brief's fields from a line of ART's layouts. Raises KeyError, TypeError or ValueError when it is none."""
    layout = json.loads(line)
    layers = sorted(layout["layers"], key=lambda layer: layer["index"])
    return {
        "id": brief_id(layout["id"]),
        "canvas": layout["canvas"],
        "style": "",
        "whole_caption": layout["whole_caption"],
        "base_caption": "",
        "layers": [
            {"kind": "image", "caption": layer.get("caption"), "box": layer["box"]}
            for layer in layers
            if layer["role"] not in ("merged", "background")
        ],
    }


def _read_prismlayers(path: Path) -> Iterator[_Row]:
    """Rows are streamed a few at a time, and of their images only the base image's header is looked at."""
    files = parquet_files(path)
    if not files and path.is_dir():
        raise UserError(f"there is no .parquet file in {path} (plan.briefs.path)")
    for file in files or [path]:
        for number, row in iterate_rows(file, pictures=False):
            yield file, number + 1, brief_or_bad(file, number + 1, row, _fields_of_row)


def _fields_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    layers = [{"kind": "image", "caption": layer.caption or None, "box": layer.box} for layer in layers_of(row)]
    return {
        "id": brief_id(row["id"]),
        "canvas": canvas_of(row),
        "style": row["style_category"] or "",
        "whole_caption": row["whole_caption"] or "",
        "base_caption": row["base_caption"] or "",
        "layers": layers,
    }


def brief_id(text: object) -> str:
    """An id of another collection in the characters that keys may have."""
    return re.sub(r"[^a-z0-9_-]+", "-", str(text).lower())[:80]


def brief_or_bad(
    path: Path, line: int, source: _Source, fields_of: Callable[[_Source], dict[str, Any]]
) -> Brief | BadBrief:
    """The brief of some text or row, or what is wrong with it; `fields_of` may raise what broken input raises."""
    try:
        return Brief.model_validate(fields_of(source))
    except ValidationError as error:
        return BadBrief(path, line, describe_validation_error(error))
    except json.JSONDecodeError as error:
        return BadBrief(path, line, f"not JSON: {error}")
    except KeyError as error:
        return BadBrief(path, line, f"the field {error} is missing")
    except (TypeError, ValueError, AttributeError) as error:
        return BadBrief(path, line, str(error))


_READERS: Mapping[str, Callable[[Path], Iterator[_Row]]] = {
    "jsonl": _read_jsonl,
    "layouts": _read_layouts,
    "prismlayers": _read_prismlayers,
}
