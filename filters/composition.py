"""Do the layers make a design? Closed-form checks of a whole sample: nothing hidden, text in front and readable, boxes
filled.

They look at alpha, boxes and colours alone, so they need no model and hold for any style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import ndimage

from filters.filter import Filter, FilterInput, FilterResult
from layered.arrays import FloatArray, UInt8Array
from layered.box import Box
from layered.compositing import composite
from layered.image import Layer, LayeredImage
from layered.scores import Score
from layered.sidecar import LayerRecord

VISIBLE = "composition_visible"
ORDER = "composition_order"
BOX = "composition_box"
CONTRAST = "composition_contrast"
COMPOSITION_SCORES = (VISIBLE, ORDER, BOX, CONTRAST)

_GLYPH: Final = 0.5  # alpha from which a pixel shows the text's own colour
_SURROUNDING: Final = 0.06  # of the text's height: how far around a glyph its background is looked at
_HARDEST: Final = 0.2  # the part of a text whose background is nearest to its colour decides
_MOST_CONTRAST: Final = 21.0  # of black and white


class Composition(Filter):
    """Scores every layer of a sample.

    composition_visible: how much of the layer is seen past those above it, in 0…1.
    composition_order: how much of it lies free of any one larger layer above it, of a text free of any picture above
        it, in 0…1; low where a thing that belongs in front was put behind.
    composition_box: how much of the box that the brief asked for the placed layer covers, in 0…1; a text, which is as
        large as its box allows, by the better filled of its two sides.
    composition_contrast: for texts, WCAG's contrast with what lies under and around the glyphs, in 1…21.
    """

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        return [FilterResult(tuple(_scores(sample))) for sample in samples]


def _scores(sample: FilterInput) -> list[Score]:
    image, records = sample.image, sample.sidecar.layers
    visible = visible_shares(image)
    free = free_shares(image, [record.kind == "text" for record in records])
    rows = []
    for position, record in enumerate(records):
        found = {VISIBLE: visible[position], ORDER: free[position], BOX: box_share(record)}
        if record.kind == "text" and (contrast := text_contrast(image, position)) is not None:
            found[CONTRAST] = contrast
        rows += [Score(sample.sample_id, record.index, name, value) for name, value in found.items()]
    return rows


def visible_shares(image: LayeredImage) -> list[float]:
    """For each layer the part of its alpha on the canvas that the layers above let through; 0 where it has none."""
    through = np.ones(image.base.shape[:2], np.float32)
    shares = []
    for layer in reversed(image.layers):
        box, alpha = _on_canvas(layer, image)
        shares.append(0.0)
        if box is not None and alpha.any():
            below = through[box.pixels()]
            shares[-1] = float((alpha * below).sum() / alpha.sum())
            below *= 1 - alpha
    return shares[::-1]


def free_shares(image: LayeredImage, texts: Sequence[bool]) -> list[float]:
    """For each layer the part of its alpha that is not under the one layer above it that covers most of it.

    Only layers that cover more of the canvas themselves count: a small thing may stand in front of a large one. In
    front of a text every picture counts.

    Args:
        texts: which layers are texts.
    """
    placed = [_on_canvas(layer, image) for layer in image.layers]
    areas = [float(alpha.sum()) for _, alpha in placed]
    shares = []
    for index, (box, alpha) in enumerate(placed):
        covered = 0.0
        for above in range(index + 1, len(placed)):
            over, cover = placed[above]
            before_text = texts[index] and not texts[above]
            if box is None or over is None or not areas[index] or not (before_text or areas[above] > areas[index]):
                continue
            common = box.intersection(over)
            if common is not None:
                own = alpha[common.shifted(-box.x0, -box.y0).pixels()]
                hidden = own * cover[common.shifted(-over.x0, -over.y0).pixels()]
                covered = max(covered, float(hidden.sum()) / areas[index])
        shares.append(1 - covered)
    return shares


def box_share(record: LayerRecord) -> float:
    """How much of the box that was asked for the placed box covers."""
    wanted, placed = Box.of(record.layout_box), record.placed_box()
    common = placed.intersection(wanted)
    if common is None:
        return 0.0
    if record.kind == "text":
        return max(common.width / wanted.width, common.height / wanted.height)
    return common.area / wanted.area


def text_contrast(image: LayeredImage, position: int) -> float | None:
    """WCAG 2 contrast of a text with its background, 1…21; None where no glyph is on the canvas.

    Each visible pixel of the glyphs' surroundings, and what lies under the glyphs themselves, is compared with the
    text's mean colour; the hardest fifth of them counts, by its mildest pixel.
    """
    text = image.layers[position]
    margin = max(2, round(_SURROUNDING * text.box.height))
    wide = Box(text.box.x0 - margin, text.box.y0 - margin, text.box.x1 + margin, text.box.y1 + margin)
    seen = wide.intersection(Box.canvas(image.canvas))
    if seen is None:
        return None
    alpha = np.zeros((wide.height, wide.width), np.float32)
    alpha[margin:-margin, margin:-margin] = text.pixels[..., 3] / np.float32(255)
    glyphs = alpha >= _GLYPH
    solid = text.pixels[..., 3] >= _GLYPH * 255
    inside = seen.shifted(-wide.x0, -wide.y0).pixels()
    if not glyphs[inside].any():
        return None
    color = relative_luminance(text.pixels[solid][:, :3]).mean()
    around = ndimage.maximum_filter(glyphs, size=2 * margin + 1)[inside]
    behind = composite(
        image.base[seen.pixels()],
        ((layer.pixels, layer.box.shifted(-seen.x0, -seen.y0)) for layer in image.layers[:position]),
    )
    return float(np.quantile(contrast_ratio(relative_luminance(behind[around]), color), _HARDEST))


def relative_luminance(rgb: UInt8Array) -> FloatArray:
    """WCAG 2's relative luminance of sRGB colours ``[…, 3]``, in 0…1."""
    value = rgb.astype(np.float32) / np.float32(255)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    luminance: FloatArray = (linear @ np.array([0.2126, 0.7152, 0.0722], np.float32)).astype(np.float32)
    return luminance


def contrast_ratio(one: FloatArray, other: FloatArray | float) -> FloatArray:
    """WCAG 2's contrast ratio of two relative luminances, 1…21."""
    ratio = (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)
    return np.minimum(ratio, _MOST_CONTRAST).astype(np.float32)


def _on_canvas(layer: Layer, image: LayeredImage) -> tuple[Box | None, FloatArray]:
    """The part of the canvas that a layer stands on, and its alpha there in 0…1; None and nothing beside the canvas."""
    box = layer.box.intersection(Box.canvas(image.canvas))
    if box is None:
        return None, np.empty((0, 0), np.float32)
    alpha = layer.pixels[..., 3][box.shifted(-layer.box.x0, -layer.box.y0).pixels()]
    return box, alpha.astype(np.float32) / np.float32(255)
