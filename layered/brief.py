"""Briefs: what is asked for, one JSON object a line (schema version 1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from layered.box import Box
from layered.errors import UserError

Side = Annotated[int, Field(ge=16, le=16384)]


class BriefLayer(BaseModel):
    """One wanted foreground layer.

    Attributes:
        kind: ``image`` layers are drawn by a model, ``text`` layers by a font.
        caption: what the layer shows; null in an anonymous layout.
        box: ``[x0, y0, x1, y1]`` in canvas pixels, right and bottom exclusive; may overflow the canvas.
        text: the exact words of a text layer.
        font: family name, optionally with a style (``DejaVu Sans:bold``), or the path of a font file.
        color: ``#rrggbb``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["image", "text"] = "image"
    caption: str | None = None
    box: tuple[int, int, int, int]
    text: str | None = None
    font: str | None = None
    color: str | None = None

    @field_validator("box")
    @classmethod
    def _box_is_possible(cls, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        Box.of(box)
        return box

    @field_validator("color")
    @classmethod
    def _color_is_hexadecimal(cls, color: str | None) -> str | None:
        if color is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            raise ValueError(f"color {color!r} is not of the form #rrggbb")
        return color

    @model_validator(mode="after")
    def _text_layers_have_text(self) -> Self:
        if self.kind == "text" and not (self.text or "").strip():
            raise ValueError("a text layer needs a non-empty `text`")
        if self.kind == "image" and (self.text or self.font or self.color):
            raise ValueError("`text`, `font` and `color` belong to text layers: set kind to text")
        return self

    def placed_box(self) -> Box:
        """The wanted box as a `Box`."""
        return Box.of(self.box)


class Brief(BaseModel):
    """One wanted design: foreground layers only, bottom to top; merged and background boxes are implied."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,80}$")]
    canvas: tuple[Side, Side]
    style: str
    whole_caption: str
    base_caption: str
    layers: tuple[BriefLayer, ...]

    @model_validator(mode="after")
    def _layers_touch_the_canvas(self) -> Self:
        canvas = Box.canvas(self.canvas)
        for index, layer in enumerate(self.layers):
            if layer.placed_box().intersection(canvas) is None:
                raise ValueError(
                    f"layers.{index}.box {list(layer.box)} lies outside the canvas of {self.canvas[0]}×{self.canvas[1]}"
                )
        return self


@dataclass(frozen=True)
class BadBrief:
    """A brief that cannot be used: where it stands (line 1 is the first) and what is wrong with it."""

    path: Path
    line: int
    error: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.error}"


def read_briefs(path: Path) -> tuple[list[Brief], list[BadBrief]]:
    """The usable and the unusable briefs of a JSONL file, both in the order of the file; blank lines are skipped.

    Raises:
        UserError: when the file cannot be read as UTF-8 text.
    """
    found = [each for _, each in iterate_briefs(path)]
    briefs = [each for each in found if isinstance(each, Brief)]
    return briefs, [each for each in found if isinstance(each, BadBrief)]


def iterate_briefs(path: Path) -> Iterator[tuple[int, Brief | BadBrief]]:
    """The number of each line, and the brief that stands there or what is wrong with it. Raises as `read_briefs`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read briefs from {path}: {error}") from error
    first_line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            brief = Brief.model_validate_json(line)
        except ValidationError as error:
            yield number, BadBrief(path, number, describe_validation_error(error))
            continue
        if brief.id in first_line_of:
            message = f"id {brief.id!r} was already used on line {first_line_of[brief.id]}"
            yield number, BadBrief(path, number, message)
            continue
        first_line_of[brief.id] = number
        yield number, brief


def write_briefs(path: Path, briefs: list[Brief]) -> None:
    """Writes briefs as JSONL, unset fields left out."""
    lines = (json.dumps(brief.model_dump(exclude_none=True), ensure_ascii=False) for brief in briefs)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def describe_validation_error(error: ValidationError) -> str:
    """All findings of a validation on one line: ``layers.2.box: …; canvas: …``."""
    findings = []
    for finding in error.errors(include_url=False):
        where = ".".join(str(part) for part in finding["loc"])
        what = finding["msg"].removeprefix("Value error, ")
        findings.append(f"{where}: {what}" if where else what)
    return "; ".join(findings)
