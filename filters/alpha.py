"""Is a layer's alpha sound? Seven closed-form checks, each a number in 0…1, higher is better.

They look at the trimmed layer resampled to one working size, so that they say the same of a layer at any size. Whether
something is the background's left-over or belongs to the layer, only the background's colour can tell, whether the
frame cut it, only the frame, and whether holes and specks were drawn, only the drawing: all come from the layer's RGB
before matting (`raw`). Without it the five checks that need it give no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from filters.filter import Filter, FilterInput, FilterResult
from layered.arrays import FloatArray, UInt8Array
from layered.pixels import resize
from layered.placing import alpha_box
from layered.scores import Score

ALPHA_SCORES = (
    "alpha_empty",
    "alpha_rectangle",
    "alpha_cut",
    "alpha_holes",
    "alpha_specks",
    "alpha_leftover",
    "alpha_halo",
)

_WORKING_SIDE: Final = 96
_RIM: Final = 4  # transparent pixels around the working image, so that its outside is connected
_TRIM: Final = 12  # alpha up to which a layer's rim does not count
_SAME: Final = 8.0  # distance to the background up to which a large area is taken for it: gray things are further off
_SHOWN: Final = 24.0  # distance to the background (of 255) from which something is drawn

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LayerView:
    """A trimmed layer at the working size.

    Attributes:
        alpha: ``[h, w]`` in 0…1.
        colors: straight RGB ``[h, w, 3]`` in 0…255.
    """

    alpha: FloatArray
    colors: FloatArray

    @property
    def solid(self) -> Mask:
        solid: Mask = self.alpha > 0.5
        return solid


@dataclass(frozen=True, eq=False)
class RawView:
    """A layer's RGB before matting.

    Attributes:
        background: its colour ``[3]``, 0…255.
        distance: how far each pixel is from it, ``[h, w]``, 0…255.
        specks: small separate regions of other colours.
    """

    background: FloatArray
    distance: FloatArray
    specks: int


class AlphaChecks(Filter):
    """All alpha scores of image layers; a text layer is exact by construction and only checked for being there."""

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        return [FilterResult(tuple(self._scores(sample))) for sample in samples]

    def _scores(self, sample: FilterInput) -> list[Score]:
        rows = []
        for record, layer in zip(sample.sidecar.layers, sample.image.layers, strict=True):
            if record.kind == "text":
                found = {"alpha_empty": alpha_empty(view_of(layer.pixels))}
            else:
                found = alpha_scores(layer.pixels, sample.raws.get(record.index))
            rows += [Score(sample.sample_id, record.index, name, value) for name, value in found.items()]
        return rows


def alpha_scores(rgba: UInt8Array, raw: UInt8Array | None = None) -> dict[str, float]:
    """The alpha scores of a picture layer by name.

    Args:
        rgba: straight RGBA ``[h, w, 4]``, trimmed or not, at any size.
        raw: its RGB before matting, at any size.
    """
    layer = view_of(rgba)
    if layer is None:
        return dict.fromkeys(ALPHA_SCORES, 0.0)
    scores = {
        "alpha_empty": alpha_empty(layer),
        "alpha_rectangle": alpha_rectangle(layer),
    }
    if raw is not None:
        frame = raw_view(raw)
        scores["alpha_empty"] = min(scores["alpha_empty"], frame_filled(frame))
        scores["alpha_rectangle"] = alpha_rectangle(layer, frame)
        scores["alpha_holes"] = alpha_holes(layer, frame)
        scores["alpha_specks"] = alpha_specks(layer, frame.specks)
        scores["alpha_cut"] = alpha_cut(frame)
        scores["alpha_leftover"] = alpha_leftover(layer, frame.background)
        scores["alpha_halo"] = alpha_halo(layer, frame.background)
    return scores


def view_of(rgba: UInt8Array) -> LayerView | None:
    """The layer trimmed, its longer side resampled to the working size; None when nothing of it is visible."""
    box = alpha_box(rgba, _TRIM)
    if box is None:
        return None
    scale = _WORKING_SIDE / max(box.size)
    size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    small = np.pad(resize(rgba[box.pixels()], size), ((_RIM, _RIM), (_RIM, _RIM), (0, 0)))
    return LayerView(small[..., 3].astype(np.float32) / np.float32(255), small[..., :3].astype(np.float32))


def raw_view(raw: UInt8Array) -> RawView:
    """The picture ``[h, w, 3]`` before matting, its background taken from its border."""
    background = np.median(_border(raw), axis=0).astype(np.float32)
    distance = np.abs(raw.astype(np.float32) - background).max(axis=-1)
    return RawView(background, distance, _count_specks(distance > _SHOWN))


def alpha_empty(layer: LayerView | None) -> float:
    """Is there anything to see? The 98th percentile of alpha in the tight box, over 0.5; 0 for an empty layer."""
    if layer is None:
        return 0.0
    return min(1.0, float(np.quantile(layer.alpha[_RIM:-_RIM, _RIM:-_RIM], 0.98)) / 0.5)


def frame_filled(frame: RawView) -> float:
    """Was anything drawn? The part of the frame that differs from the background, over 2 %."""
    return min(1.0, float((frame.distance > _SHOWN).mean()) / 0.02)


def alpha_rectangle(layer: LayerView, frame: RawView | None = None) -> float:
    """Is it more than an opaque rectangle? The transparent part of the tight box, over 6 %.

    A rectangle that was drawn as one gets 1: its drawing left background around it, and its rim does not show any.
    Where the drawing is not known, only a rectangle of one plain colour counts as drawn.
    """
    inner = slice(_RIM + 2, -_RIM - 2)
    alpha, colors = layer.alpha[inner, inner], layer.colors[inner, inner]
    if alpha.size == 0:
        return 1.0
    if frame is None:
        drawn = (np.abs(colors - np.median(colors, axis=(0, 1))).max(axis=-1) < 24).mean() > 0.9
    else:
        around = (_border(frame.distance) < _SHOWN).mean() > 0.5
        drawn = around and (np.abs(_border(colors) - frame.background).max(axis=-1) < _SHOWN).mean() < 0.5
    return 1.0 if drawn else min(1.0, float((alpha < 0.9).mean()) / 0.06)


def alpha_cut(frame: RawView) -> float:
    """Does it end before the frame does? 1 minus the part of the frame's fullest side that is drawn on, over 40 %."""
    drawn = frame.distance > 40
    return 1 - min(1.0, float(max(side.mean() for side in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]))) / 0.4)


def alpha_holes(layer: LayerView, frame: RawView) -> float:
    """Is the inside whole? 1 minus the number of holes that are torn into what was drawn, over six.

    A hole is an enclosed region of at least four pixels that is more transparent than not. It is torn when the drawing
    shows more there than the layer does; the inside of a ring, what is seen between hairs and clear glass are not.
    """
    missing = _drawn(frame, layer) - layer.alpha * np.abs(layer.colors - frame.background).max(axis=-1)
    regions, _ = ndimage.label(ndimage.binary_fill_holes(layer.solid) & ~layer.solid)
    areas = np.bincount(regions.ravel())[1:]
    torn = np.bincount(regions.ravel(), (missing > _SHOWN).ravel())[1:]
    return 1 - min(1.0, int(((areas >= 4) & (torn > 0.7 * areas)).sum()) / 6)


def alpha_specks(layer: LayerView, drawn_specks: int) -> float:
    """Is it free of specks? 1 minus the number of specks beyond those that were drawn (sparks, drops), over eight."""
    return 1 - min(1.0, max(0, _count_specks(layer.alpha > 0.3) - drawn_specks) / 8)


def alpha_leftover(layer: LayerView, background: FloatArray) -> float:
    """Is the background gone? 1 minus the part of the visible area that shows the background's colour and hangs
    together with the outside, over 20 %."""
    visible = layer.alpha > 0.05
    like_background = (np.abs(layer.colors - background).max(axis=-1) < _SAME) & visible
    regions, _ = ndimage.label(like_background | ~visible)
    outer = (regions == regions[0, 0]) & like_background
    return 1 - min(1.0, float(outer.sum() / visible.sum()) / 0.2)


def alpha_halo(layer: LayerView, background: FloatArray) -> float:
    """Is the edge free of the background's colour? 1 minus how much more of the outline's pixels than of those a little
    further in show it, over 50 %."""
    depth = ndimage.distance_transform_edt(layer.solid)
    rim, inner = (depth > 0) & (depth <= 2), (depth > 5) & (depth <= 8)
    if not inner.any():
        return 1.0
    like_background = np.abs(layer.colors - background).max(axis=-1) < 14
    return 1 - min(1.0, max(0.0, float(like_background[rim].mean() - like_background[inner].mean())) / 0.5)


def _border(pixels: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels of ``[h, w, …]`` in one row."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _drawn(frame: RawView, layer: LayerView) -> FloatArray:
    """The drawing's distance to the background, trimmed and resampled as the layer was."""
    shown = np.argwhere(frame.distance > _SHOWN)
    if shown.size == 0:
        return np.zeros_like(layer.alpha)
    (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0) + 1
    height, width = (side - 2 * _RIM for side in layer.alpha.shape)
    trimmed = Image.fromarray(frame.distance[top:bottom, left:right])
    return np.pad(np.asarray(trimmed.resize((width, height), Image.Resampling.BILINEAR)), _RIM)


def _count_specks(shown: Mask) -> int:
    """Separate regions of less than 1/60 of the largest one."""
    regions, count = ndimage.label(shown)
    if count <= 1:
        return 0
    areas = np.bincount(regions.ravel())[1:]
    return int((areas < areas.max() / 60).sum())
