"""`--hold`: parts of a finished sample, or a picture, that a new design keeps as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from art_model.request import Held
from layered import Box, Brief, BriefLayer, LayeredImage, LayerRecord, Sidecar, UserError
from layered.brief import describe_validation_error
from pipeline.inspection import load_sample
from pipeline.single import read_rgb

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class HoldChoice:
    """Which parts of which sample are held.

    Attributes:
        path: a layered folder, run, publication or tar; or a picture, which is held as the merged image.
        names: ``merged``, ``background`` and numbers of layers; None holds the background and all layers.
        left_out: the names are those that are not held.
    """

    path: Path
    names: tuple[str, ...] | None = None
    left_out: bool = False


@dataclass(frozen=True, eq=False)
class Given:
    """What `--hold` names.

    Attributes:
        brief: the sample's own layout; None for a picture.
        boxes, records: of the held layers, by index.
        base: who drew the held background, as the sample's provenance says it; empty where it is not held.
    """

    held: Held
    brief: Brief | None = None
    boxes: Mapping[int, Box] = field(default_factory=dict)
    records: Mapping[int, LayerRecord] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)


def parse_hold(text: str) -> HoldChoice:
    """``PATH`` holds a sample's background and all its layers; ``PATH:0,2,background`` holds those; ``PATH:merged`` the
    picture; ``PATH:-1`` all but layer 1.

    Raises:
        UserError: for names that there are not.
    """
    path, colon, chosen = text.rpartition(":")
    if not colon or Path(text).exists():
        return HoldChoice(Path(text))
    names = [name.strip() for name in chosen.split(",")]
    if wrong := [name for name in names if not re.fullmatch(r"-?(\d+|background)|merged", name)]:
        raise UserError(f"--hold {text}: {wrong[0]!r} is no part; name `merged`, `background` or numbers of layers")
    left_out = [name.startswith("-") for name in names]
    if any(left_out) and not all(left_out):
        raise UserError(f"--hold {text}: name the parts to hold, or with - before each those to leave out, not both")
    return HoldChoice(Path(path), tuple(name.removeprefix("-") for name in names), any(left_out))


def load_held(choice: HoldChoice) -> Given:
    """Reads the chosen parts of a sample; of a picture file, the picture as the merged image.

    Raises:
        UserError: when there is no such sample or it lacks a layer that is named.
    """
    if choice.path.suffix.lower() in PICTURES:
        if choice.names not in (None, ("merged",)):
            raise UserError(f"--hold {choice.path}: a picture is held as the merged image only")
        return Given(Held(merged=read_rgb(choice.path)))
    # PATH/KEY names one sample of several.
    one_of_many = not choice.path.exists() and choice.path.parent.exists()
    folder, key = (choice.path.parent, choice.path.name) if one_of_many else (choice.path, None)
    image, sidecar = load_sample(folder, key)
    names = _named_parts(choice, image)
    indices = sorted(int(name) for name in names if name.isdecimal())
    if indices and indices[-1] >= len(image.layers):
        raise UserError(f"--hold: {choice.path} has layers 0…{len(image.layers) - 1}, so there is no {indices[-1]}")
    merged = None
    if "merged" in names:
        merged = image.whole() if image.merged is None else image.merged
    held = Held(
        merged=merged,
        background=image.base if "background" in names else None,
        layers={index: image.layers[index].pixels for index in indices},
    )
    boxes = {index: image.layers[index].box for index in indices}
    base = {name: text for name, text in sidecar.provenance.items() if name.startswith("base_")}
    return Given(
        held,
        _brief_of(sidecar),
        boxes,
        {index: sidecar.layers[index] for index in indices},
        base if held.background is not None else {},
    )


def _named_parts(choice: HoldChoice, image: LayeredImage) -> set[str]:
    everything = {"background", *map(str, range(len(image.layers)))}
    if choice.names is None:
        return everything
    names = {str(int(name)) if name.isdecimal() else name for name in choice.names}
    if not choice.left_out:
        return names
    if unknown := names - everything:
        raise UserError(f"--hold: {choice.path} has layers 0…{len(image.layers) - 1}, so there is no {min(unknown)}")
    return everything - names


def _brief_of(sidecar: Sidecar) -> Brief:
    """The layout of a finished sample: its placed boxes. Texts are pictures by now."""
    try:
        return Brief(
            id=sidecar.id,
            canvas=sidecar.canvas,
            style=sidecar.style_category,
            whole_caption=sidecar.whole_caption,
            base_caption=sidecar.base_caption,
            layers=tuple(BriefLayer(caption=record.caption or None, box=record.box) for record in sidecar.layers),
        )
    except ValidationError as error:
        raise UserError(f"--hold: sample {sidecar.id} is no layout: {describe_validation_error(error)}") from error
