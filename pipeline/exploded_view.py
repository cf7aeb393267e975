"""A sample taken apart in one picture: the whole image, then its base image and each layer with a caption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layered.arrays import UInt8Array
from layered.image import LayeredImage
from layered.rendering import SHEET_PAPER, contact_sheet, contained
from layered.sidecar import Sidecar

WHOLE_SIDE = 328
LAYER_SIDES = range(120, 153)
COLUMNS = 6


def exploded_view(image: LayeredImage, sidecar: Sidecar) -> UInt8Array:
    """The whole image on the left, base image and layers, lowest first, beside it; RGB ``[h, w, 3]``."""
    largest = max((max(layer.box.size) for layer in image.layers), default=0)
    side = min(max(largest, LAYER_SIDES[0]), LAYER_SIDES[-1])
    whole = contained(image.whole(), (WHOLE_SIDE, WHOLE_SIDE))
    caption = f"{sidecar.id}: {sidecar.whole_caption}"
    left = contact_sheet([whole], 1, (WHOLE_SIDE, whole.shape[0]), [caption])
    captions = [f"base: {sidecar.base_caption}"]
    captions += [f"{record.index}: {record.caption or record.text}" for record in sidecar.layers]
    tiles = [image.base, *(layer.pixels for layer in image.layers)]
    if image.merged is not None:
        tiles.append(image.merged)
        captions.append("merged, as the model drew it")
    return side_by_side([left, contact_sheet(tiles, COLUMNS, (side, side), captions)])


def side_by_side(pictures: Sequence[UInt8Array]) -> UInt8Array:
    """RGB pictures in a row on a common sheet of paper, their tops aligned."""
    height = max(picture.shape[0] for picture in pictures)
    return np.concatenate([_extended(picture, height, picture.shape[1]) for picture in pictures], axis=1)


def stacked(pictures: Sequence[UInt8Array]) -> UInt8Array:
    """RGB pictures below each other on a common sheet of paper, their left edges aligned."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate([_extended(picture, picture.shape[0], width) for picture in pictures], axis=0)


def _extended(picture: UInt8Array, height: int, width: int) -> UInt8Array:
    sheet = np.full((height, width, 3), SHEET_PAPER, np.uint8)
    sheet[: picture.shape[0], : picture.shape[1]] = picture
    return sheet
