"""From a matted picture to a layer on the canvas: trim, scale, place."""

import numpy as np

from layered.arrays import UInt8Array
from layered.box import Box
from layered.pixels import clear_hidden, resize


def alpha_box(rgba: UInt8Array, threshold: int = 0) -> Box | None:
    """The tight box around alpha greater than `threshold` (0…255), or None when nothing is."""
    visible = rgba[..., 3] > threshold
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if rows.size == 0:
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def trim(rgba: UInt8Array, threshold: int = 0) -> UInt8Array:
    """The picture cropped to `alpha_box`. Raises ValueError when nothing is visible."""
    box = alpha_box(rgba, threshold)
    if box is None:
        raise ValueError(f"nothing to trim: no alpha above {threshold}")
    return clear_hidden(rgba[box.pixels()])


def fit(rgba: UInt8Array, into: Box) -> tuple[UInt8Array, Box]:
    """Scales a trimmed picture into a box, aspect kept, centred.

    Args:
        rgba: straight RGBA ``[h, w, 4]``.
        into: where the layout wants it; may overflow the canvas.

    Returns:
        The resampled pixels, trimmed again where resampling left an invisible rim, and the box they stand in: inside
        `into`, with exactly the pixels' size.

    Raises:
        ValueError: when nothing is visible, before or after scaling.
    """
    height, width = rgba.shape[:2]
    scale = min(into.width / width, into.height / height)
    size = max(1, min(into.width, round(width * scale))), max(1, min(into.height, round(height * scale)))
    left = into.x0 + (into.width - size[0]) // 2
    top = into.y0 + (into.height - size[1]) // 2
    scaled = resize(rgba, size)
    tight = alpha_box(scaled)
    if tight is None:
        raise ValueError(f"nothing visible is left after scaling {width}×{height} into {into.as_list()}")
    return scaled[tight.pixels()], tight.shifted(left, top)
