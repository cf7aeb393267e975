"""How near a design's layers are to the true ones, when one list may hold more layers than the other.

Both lists, the base image lowest, are aligned in order by dynamic time warping, as Qwen-Image-Layered is evaluated; its
report names the two measures, RGB L1 and soft IoU of alpha, and leaves the rest open. Our choices: a pair costs its RGB
L1 plus 1 − soft IoU; colours are compared over mid-gray, each pixel weighted by the larger of both alphas, so that
nothing can be hidden outside the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layered.arrays import FloatArray, Size, UInt8Array
from layered.box import Box
from layered.image import LayeredImage
from layered.pixels import premultiply


@dataclass(frozen=True)
class LayerErrors:
    """Means over the pairs of an alignment: `rgb_l1` in 0…1, lower is better; `soft_iou` in 0…1, higher is better."""

    rgb_l1: float
    soft_iou: float


def layer_errors(drawn: LayeredImage, truth: LayeredImage) -> LayerErrors:
    """The errors of a design's layers against the true ones.

    Raises:
        ValueError: when the canvases differ.
    """
    if drawn.canvas != truth.canvas:
        raise ValueError(f"a canvas of {drawn.canvas} cannot be compared with one of {truth.canvas}")
    ours, theirs = _frames(drawn), _frames(truth)
    pairs = [[(rgb_l1(a, b), soft_iou(a[..., 3], b[..., 3])) for b in theirs] for a in ours]
    costs = np.array([[l1 + 1 - iou for l1, iou in row] for row in pairs])
    along = [pairs[i][j] for i, j in warping_path(costs)]
    return LayerErrors(float(np.mean([l1 for l1, _ in along])), float(np.mean([iou for _, iou in along])))


def rgb_l1(one: FloatArray, other: FloatArray) -> float:
    """The mean absolute difference of premultiplied RGBA ``[h, w, 4]`` over mid-gray; 0 where nothing is visible."""
    weights = np.maximum(one[..., 3], other[..., 3])
    if weights.sum() == 0:
        return 0.0
    # Over a common background c the difference is that of colour + (1 − alpha) · c.
    over = [each[..., :3] + (1 - each[..., 3:]) * np.float32(0.5) for each in (one, other)]
    return float((np.abs(over[0] - over[1]).mean(-1) * weights).sum() / weights.sum())


def soft_iou(one: FloatArray, other: FloatArray) -> float:
    """Intersection over union of two alphas in 0…1: the sum of the smaller over the sum of the larger; 1 for nothing
    against nothing."""
    union = float(np.maximum(one, other).sum())
    return float(np.minimum(one, other).sum()) / union if union else 1.0


def warping_path(costs: np.ndarray) -> list[tuple[int, int]]:
    """The cheapest monotone path from the first pair to the last of ``[n, m]`` costs (Sakoe & Chiba 1978).

    Each step goes on by one in the first list, in the second, or in both; every entry of both lists is on the path.
    """
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for i in range(rows):
        for j in range(columns):
            total[i + 1, j + 1] = costs[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while (i, j) != (0, 0):
        steps = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        i, j = min(steps, key=lambda step: total[step[0] + 1, step[1] + 1] if min(step) >= 0 else np.inf)
        path.append((i, j))
    return path[::-1]


def _frames(image: LayeredImage) -> list[FloatArray]:
    """The base image and each layer on the whole canvas, premultiplied ``[height, width, 4]``."""
    base = np.concatenate([image.base, np.full_like(image.base[..., :1], 255)], axis=2)
    placed: Sequence[tuple[UInt8Array, Box]] = [(layer.pixels, layer.box) for layer in image.layers]
    return [premultiply(base), *(_on_canvas(pixels, box, image.canvas) for pixels, box in placed)]


def _on_canvas(pixels: UInt8Array, box: Box, canvas: Size) -> FloatArray:
    frame = np.zeros((canvas[1], canvas[0], 4), np.float32)
    visible = box.intersection(Box.canvas(canvas))
    if visible is not None:
        frame[visible.pixels()] = premultiply(pixels[visible.shifted(-box.x0, -box.y0).pixels()])
    return frame
