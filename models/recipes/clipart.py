"""Clip art to learn from: thousands of drawn things of many parts, each alone on a transparent ground.

It is not part of this repository. The drawings are those of openclipart.org, which their makers gave to the public
domain, as Debian 12 packs them; put the folder `usr/share/openclipart/png` of this package in place of
`models/recipes/checkpoints/clipart`:

    apt-get download openclipart-png=1:0.18+dfsg-19        then: dpkg -x FILE.deb DIR
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from scipy import ndimage

from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.pixels import premultiply, resize
from models.recipes.drawings import CHECKPOINTS
from models.recipes.matting_textures import Values

FOLDER: Final = CHECKPOINTS / "clipart"
_LONGER_SIDE: Final = (150, 4000)  # pixels: smaller ones are blurred by enlarging, larger ones take long to read
_LONGEST: Final = 256
_SHOWN: Final = 12  # of 255
_ONE: Final = 0.9  # part of a thing's pixels that hang together
_FILL: Final = (0.12, 0.88)  # of its box: less is a line, more a card or a screenshot
_SLIM: Final = 4.0  # longer side over shorter


def clip_art(side: int, rng: np.random.Generator) -> Values:
    """A drawing at random, one thing that is no mere frame or card, in the middle of a premultiplied layer
    ``[side, side, 4]`` in 0…1.

    Raises:
        UserError: when `FOLDER` has no drawings.
    """
    files = _files()
    while (trimmed := _thing(files[int(rng.integers(len(files)))])) is None:
        pass
    height, width = trimmed.shape[:2]
    scale = 0.86 * side / max(height, width)
    small = resize(trimmed, (max(1, round(width * scale)), max(1, round(height * scale))))
    layer = np.zeros((side, side, 4), np.float32)
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    layer[top : top + small.shape[0], left : left + small.shape[1]] = premultiply(small)
    return layer


@functools.cache
def _thing(path: Path) -> UInt8Array | None:
    """A drawing, trimmed, straight RGBA ``[h, w, 4]``; None where it is not one thing on a transparent ground."""
    try:
        stored = Image.open(path)
    except Image.DecompressionBombError:
        return None
    if "A" not in stored.mode or not _LONGER_SIDE[0] <= max(stored.size) <= _LONGER_SIDE[1]:
        return None
    picture = stored.convert("RGBA")
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BOX)
    pixels = np.asarray(picture)
    shown = np.argwhere(pixels[..., 3] > _SHOWN)
    if not len(shown):
        return None
    (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0) + 1
    trimmed = pixels[top:bottom, left:right]
    short, long = sorted(trimmed.shape[:2])
    solid = trimmed[..., 3] > 127
    parts, _ = ndimage.label(trimmed[..., 3] > _SHOWN)
    sizes = np.bincount(parts.ravel())[1:]
    alone = sizes.max() >= _ONE * sizes.sum()
    whole: UInt8Array = np.ascontiguousarray(trimmed)
    return whole if alone and long <= _SLIM * short and _FILL[0] < solid.mean() < _FILL[1] else None


@functools.cache
def _files() -> Sequence[Path]:
    found = tuple(sorted(FOLDER.rglob("*.png")))
    if not found:
        raise UserError(f"{FOLDER} has no drawings: the docstring of models/recipes/clipart.py says where to get them")
    return found
