"""Layers with exact alpha, their composites, and how far a matte is from them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from layered.arrays import Color, UInt8Array
from layered.compositing import over_color

GRAY: Color = (128, 128, 128)


def shape(kind: str, color: Color, side: int = 128) -> UInt8Array:
    """A smooth-edged shape in one colour, RGBA, drawn eight times as large."""
    mask = Image.new("L", (8 * side, 8 * side))
    draw = ImageDraw.Draw(mask)
    low, high = 1.6 * side, 6.4 * side
    draw.ellipse((low, low, high, high), fill=255)
    if kind == "ring":
        draw.ellipse((2.8 * side, 2.8 * side, 5.2 * side, 5.2 * side), fill=0)
    if kind == "touching":
        draw.rectangle((3 * side, 4 * side, 5 * side, 8 * side), fill=255)
    rgba = np.empty((side, side, 4), np.uint8)
    rgba[..., :3] = color
    rgba[..., 3] = np.asarray(mask.resize((side, side), Image.Resampling.BOX))
    return rgba


def on_background(rgba: UInt8Array, background: Color, noise: float = 1.5, seed: int = 0) -> UInt8Array:
    """The exact composite, with the noise of a generator."""
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(over_color(rgba, background) + rng.normal(0, noise, (*rgba.shape[:2], 3))), 0, 255).astype(
        np.uint8
    )


def alpha_error(found: UInt8Array, true: UInt8Array) -> float:
    """Mean absolute difference of alpha, 0…1."""
    return float(np.abs(found[..., 3].astype(float) - true[..., 3]).mean() / 255)


def real_layers(shared_dir: Path, pattern: str) -> list[UInt8Array]:
    found = [np.array(Image.open(path).convert("RGBA")) for path in sorted((shared_dir / "real_layers").glob(pattern))]
    assert found
    return found
