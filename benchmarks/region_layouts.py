"""Layouts with the box statistics of PrismLayersPro, for benchmarks; drawn, so that no data set is needed.

Areas are the middle quantiles of a log-normal distribution (σ = 1.13), scaled to a mean of 8.7 % of the canvas (what
PrismLayersPro has), none above 90 %; aspect ratios are log-normal around 1.5 (σ = 0.8); places are uniform inside the
canvas. Counts of layers follow PrismLayersPro's histogram.
"""

from statistics import NormalDist

import numpy as np

from layered.arrays import Size
from layered.box import Box

MEAN_AREA = 0.087
LARGEST_AREA = 0.9
AREA_SIGMA = 1.13
MEDIAN_ASPECT = 1.5
ASPECT_SIGMA = 0.8

LAYER_COUNTS = ((1, 3, 9.5), (3, 6, 15.7), (6, 9, 33.5), (9, 12, 23.1), (12, 15, 10.8), (15, 20, 5.3), (20, 26, 2.1))
"""(first, one beyond the last, percent); the open end is cut at 25."""


def drawn_boxes(count: int, canvas: Size, seed: int) -> list[Box]:
    """`count` boxes in the canvas; their areas always have the mean stated above."""
    generator = np.random.default_rng(seed)
    quantiles = [NormalDist().inv_cdf((place + 0.5) / count) for place in range(count)]
    areas = np.exp(AREA_SIGMA * np.array(quantiles))
    areas = np.minimum(areas * MEAN_AREA / areas.mean(), LARGEST_AREA)
    generator.shuffle(areas)
    aspects = MEDIAN_ASPECT * np.exp(ASPECT_SIGMA * generator.standard_normal(count))
    return [_placed(float(area), float(aspect), canvas, generator) for area, aspect in zip(areas, aspects, strict=True)]


def drawn_layer_count(generator: np.random.Generator) -> int:
    """Layers of one design of PrismLayersPro."""
    percents = np.array([percent for _, _, percent in LAYER_COUNTS])
    first, end, _ = LAYER_COUNTS[int(generator.choice(len(percents), p=percents / percents.sum()))]
    return int(generator.integers(first, end))


def _placed(area: float, aspect: float, canvas: Size, generator: np.random.Generator) -> Box:
    """A box of that part of the canvas and about that aspect ratio, as far as it fits inside."""
    pixels = area * canvas[0] * canvas[1]
    width = min((pixels * aspect) ** 0.5, canvas[0])
    height = min(pixels / width, canvas[1])
    size = max(1, round(pixels / height)), max(1, round(height))
    x, y = (int(generator.integers(0, max(0, whole - part) + 1)) for whole, part in zip(canvas, size, strict=True))
    return Box(x, y, min(x + size[0], canvas[0]), y + size[1])
