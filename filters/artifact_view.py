"""What the artifact classifier sees of a layer or of a whole image: two small pictures, whatever the sizes were.

*picture*: the layer trimmed, its longer side resampled to 120 pixels, in the middle of a transparent 128-pixel square.
*frame*: all of its RGB before matting, squeezed to 64 × 64 pixels; only there can be seen what the frame cut off, and
which colour the background had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from layered.arrays import Color, UInt8Array
from layered.pixels import premultiply, resize, resize_rgb, round_to_uint8
from layered.placing import alpha_box

PICTURE_SIDE: Final = 128
FRAME_SIDE: Final = 64
_LONGER_SIDE: Final = 120
_TRIM: Final = 12  # alpha up to which a layer's rim does not count

NO_FRAME: Final = np.zeros((FRAME_SIDE, FRAME_SIDE, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class ArtifactView:
    """Attributes:

    picture: premultiplied RGBA ``[128, 128, 4]``, 0…255.
    frame: RGB ``[64, 64, 3]``; black where it is not known.
    background: the colour that the frame's border has, None where it is not known.
    """

    picture: UInt8Array
    frame: UInt8Array
    background: Color | None


def layer_view(rgba: UInt8Array, raw: UInt8Array | None = None) -> ArtifactView | None:
    """The view of a straight RGBA layer ``[h, w, 4]`` at any size; None when nothing of it is visible.

    Args:
        raw: its RGB before matting, at any size.
    """
    box = alpha_box(rgba, _TRIM)
    if box is None:
        return None
    scale = _LONGER_SIDE / max(box.size)
    width, height = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    picture = np.zeros((PICTURE_SIDE, PICTURE_SIDE, 4), np.uint8)
    top, left = (PICTURE_SIDE - height) // 2, (PICTURE_SIDE - width) // 2
    small = resize(rgba[box.pixels()], (width, height))
    picture[top : top + height, left : left + width] = round_to_uint8(premultiply(small))
    if raw is None:
        return ArtifactView(picture, NO_FRAME, None)
    return ArtifactView(picture, resize_rgb(raw, (FRAME_SIDE, FRAME_SIDE)), border_color(raw))


def whole_view(rgb: UInt8Array) -> ArtifactView:
    """The view of an opaque picture ``[h, w, 3]``."""
    view = layer_view(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))
    assert view is not None
    return view


def border_color(raw: UInt8Array) -> Color:
    """The median colour of a picture's outermost pixels."""
    border = np.concatenate([raw[0], raw[-1], raw[:, 0], raw[:, -1]])
    red, green, blue = np.rint(np.median(border, axis=0)).astype(int).tolist()
    return red, green, blue
