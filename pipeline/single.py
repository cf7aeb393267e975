"""One layer, one matte: the stages of a run, for a single picture and without a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from layered import Brief, BriefLayer, UserError
from layered.arrays import Color, UInt8Array
from layered.errors import FailedWorkError
from layered.placing import alpha_box, trim
from layered.png import encode_png
from layered.seeds import derive_seed
from pipeline.config import RunConfig
from pipeline.pools import BatchError, StageHost
from pipeline.prompts import layer_prompt
from stages.layer_flux import LayerFlux, resolve_defaults
from stages.matting import Matting, matter_of
from stages.matting.triangulation import triangulate
from stages.records import Draw, Matted
from stages.stage import Failed


def draw_layer(caption: str, style: str, seed: int, config: RunConfig) -> UInt8Array:
    """One transparent layer, straight RGBA, trimmed.

    Raises:
        UserError: when the model is missing.
        FailedWorkError: when what was drawn cannot be matted.
    """
    settings = resolve_defaults(config.layer_flux)
    prompt = layer_prompt(caption, style, settings)
    noise = derive_seed(seed, "layer", 0, 0, "noise")
    draw = Draw("layer", 0, 0, noise, prompt, caption, settings.layer_sizes[0])
    host = StageHost({"layer_flux": LayerFlux(config.layer_flux), "matting": Matting(config.matting)})
    try:
        (matted,) = host.process("matting", host.process("layer_flux", [draw]))
    except BatchError as error:
        raise error.for_the_run() from error
    if isinstance(matted, Failed):
        raise FailedWorkError(f"{matted.stage} failed: {matted.error}")
    assert isinstance(matted, Matted)
    if alpha_box(matted.rgba) is None:
        raise UserError(f"the model drew nothing for {caption!r}: try another --seed, or words of its vocabulary")
    return trim(matted.rgba)


def brief_of(caption: str, style: str) -> Brief:
    """A brief of one layer, for whoever looks at the words of briefs."""
    layer = BriefLayer(caption=caption, box=(0, 0, 64, 64))
    return Brief(id="layer", canvas=(64, 64), style=style, whole_caption=caption, base_caption="", layers=(layer,))


@dataclass(frozen=True)
class Backgrounds:
    """What a person says of flat backgrounds, as ``#rrggbb``; None has a colour estimated.

    Attributes:
        second: of the second render of a pair.
    """

    first: str | None = None
    second: str | None = None


def matte_files(images: Sequence[Path], folder: Path, backgrounds: Backgrounds, config: RunConfig) -> list[Path]:
    """Frees RGB pictures from their flat background; writes ``NAME.png`` with transparency for each, returns the paths.

    Raises:
        UserError: when a picture is missing, is none or has transparency already, the back end cannot be used, or two
            pictures would be written to one file.
    """
    targets = [folder / f"{image.stem}.png" for image in images]
    if doubled := [target for target in set(targets) if targets.count(target) > 1]:
        raise UserError(f"several pictures would be written to {doubled[0]}: matte them into different folders")
    if backgrounds.second:
        raise UserError("--second-background is for the second render of a pair: give it with --second")
    color = parse_color(backgrounds.first) if backgrounds.first else None
    # Enlarging first makes smoother edges for small generated pictures; a person's picture keeps its size.
    matter = matter_of(config.matting.model_copy(update={"min_side": 1}))
    read = read_rgba if config.matting.backend == "native" else read_rgb
    pictures = [read(image) for image in images]
    matter.setup()
    for picture, target in zip(pictures, targets, strict=True):
        rgba, _ = matter.matte(picture, color)
        write_png(target, rgba)
    return targets


def triangulate_files(images: Sequence[Path], second: Path, folder: Path, backgrounds: Backgrounds) -> Path:
    """One layer from its two renders on two colours; writes ``NAME.png`` after the first of them, returns the path.

    Raises:
        UserError: when there is more than one first picture, or the two are no pair.
    """
    if len(images) != 1:
        raise UserError(f"--second makes a pair with one picture, not with {len(images)}: give the pairs one by one")
    colors = [parse_color(each) if each else None for each in (backgrounds.first, backgrounds.second)]
    target = folder / f"{images[0].stem}.png"
    write_png(target, triangulate(read_rgb(images[0]), read_rgb(second), *colors))
    return target


def read_rgb(path: Path) -> UInt8Array:
    """An RGB picture ``[h, w, 3]``. Raises UserError when the file is missing, is no picture or has transparency."""
    rgba = _read(path)
    if rgba.shape[2] == 4 and (rgba[..., 3] < 255).any():
        raise UserError(f"{path} is transparent already: give a picture on a flat background")
    return np.ascontiguousarray(rgba[..., :3])


def read_rgba(path: Path) -> UInt8Array:
    """A picture with transparency ``[h, w, 4]``. Raises UserError when it has none, is missing or is no picture."""
    rgba = _read(path)
    if rgba.shape[2] != 4:
        raise UserError(f"{path} has no transparency: the back end native passes on what a picture has; take another")
    return rgba


def _read(path: Path) -> UInt8Array:
    """RGB or, where the file can be transparent, RGBA."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} cannot be read as a picture: {error}") from error


def parse_color(text: str) -> Color:
    """``#rrggbb`` as numbers. Raises UserError for anything else."""
    digits = text.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError as error:
        raise UserError(f"{text!r} is not a colour of the form #rrggbb") from error
    return red, green, blue


def write_png(path: Path, pixels: UInt8Array) -> None:
    """Writes RGB or RGBA; makes the folder. Raises UserError when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(pixels))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
