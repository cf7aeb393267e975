"""Layouts for the model that draws all layers at once: from a file, from the designer, scaled, with boxes added."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from layered import Box, Brief, BriefLayer, UserError
from layered.arrays import Size
from layered.brief import BadBrief
from models.vocabulary import load_vocabulary
from pipeline.briefs import brief_or_bad, fields_of_layout
from pipeline.designer import design_brief
from pipeline.plan_config import DesignerConfig

DESIGNED_LAYERS = (2, 6)
"""Foreground layers of a designed layout where nothing else is asked for."""


def read_layout_file(path: Path) -> list[Brief]:
    """Briefs, or ART's anonymous layouts, from one JSON object or from one a line.

    Raises:
        UserError: when the file cannot be read or holds no layout; the first bad line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read a layout from {path}: {error}") from error
    sources = [text] if _is_one_object(text) else text.split("\n")
    found = [_brief(path, line, source) for line, source in enumerate(sources, start=1) if source.strip()]
    if bad := [each for each in found if isinstance(each, BadBrief)]:
        raise UserError(f"{bad[0]}" + (f"; and {len(bad) - 1} more" if len(bad) > 1 else ""))
    briefs = [each for each in found if isinstance(each, Brief)]
    if not briefs:
        raise UserError(f"{path} holds no layout: a brief in JSON is needed, or one a line")
    known: set[str] = set()
    for brief in briefs:
        if brief.id in known:
            raise UserError(f"{path}: two layouts have the id {brief.id!r}")
        known.add(brief.id)
    return briefs


def designed_layout(canvas: Size, layers: int | None, seed: int, number: int) -> Brief:
    """The designer's brief of that number: image layers only, in the plain style.

    Args:
        layers: how many; None leaves it to the designer.

    Raises:
        UserError: for a canvas or a number of layers that the designer cannot do.
    """
    fewest, most = DESIGNED_LAYERS if layers is None else (layers, layers)
    if not 1 <= fewest <= most <= 99:
        raise UserError(f"--layers {layers} is not in 1…99")
    style = load_vocabulary().default_style
    config = DesignerConfig(canvases=(canvas,), min_layers=fewest, max_layers=most, max_text_layers=0, styles=(style,))
    return design_brief(config, seed, number)


def scaled(brief: Brief, side: int) -> Brief:
    """The brief on a canvas whose longer side has `side` pixels. Raises UserError where that is below 16."""
    if side < 16:
        raise UserError(f"--side {side}: at least 16 pixels are needed")
    factor = side / max(brief.canvas)
    canvas = max(16, round(brief.canvas[0] * factor)), max(16, round(brief.canvas[1] * factor))
    sx, sy = canvas[0] / brief.canvas[0], canvas[1] / brief.canvas[1]
    layers = tuple(
        layer.model_copy(update={"box": layer.placed_box().scaled(sx, sy).as_tuple()}) for layer in brief.layers
    )
    return brief.model_copy(update={"canvas": canvas, "layers": layers})


def with_added(brief: Brief, boxes: Sequence[str]) -> Brief:
    """The brief with more layers on top. Raises UserError unless each box is written ``x0,y0,x1,y1``."""
    layers = list(brief.layers)
    for text in boxes:
        try:
            box = Box.of([int(part) for part in text.split(",")])
        except ValueError as error:
            raise UserError(f"--add {text}: a box is written x0,y0,x1,y1 ({error})") from error
        layers.append(BriefLayer(box=box.as_tuple()))
    return brief.model_copy(update={"layers": tuple(layers)})


def _is_one_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _brief(path: Path, line: int, source: str) -> Brief | BadBrief:
    of_art = re.search(r'"role"\s*:', source) is not None
    return brief_or_bad(path, line, source, fields_of_layout if of_art else json.loads)
