"""What layers show, as the judge sees it: things that a prompt names, and layers that show nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evaluation.judge import Judge
from layered.image import LayeredImage

EMPTY: Final = 0.05
"""Of a box's pixels at least half opaque; exact sprites fill a fifth of theirs and more."""


def found(judge: Judge, image: LayeredImage, labels: Sequence[str]) -> list[str]:
    """The labels that are shown: matched one to one with the layers, and ranked first for the layer they got."""
    layers = [layer.pixels for layer in image.layers]
    best = judge.best_labels(layers)
    matched = judge.match(layers, labels)
    return [label for number, label in zip(matched, labels, strict=True) if number >= 0 and best[number] == label]


def empty_or_repeated(judge: Judge, image: LayeredImage, wanted: Sequence[str] = ()) -> int:
    """Layers that show nothing, or a thing that layers below them show often enough already.

    Args:
        wanted: the labels that the prompt names; one that it names twice may be shown twice. Any other only once.
    """
    bad, seen = 0, list[str]()
    for layer, label in zip(image.layers, judge.best_labels([each.pixels for each in image.layers]), strict=True):
        empty = (layer.pixels[..., 3] > 127).mean() < EMPTY
        bad += bool(empty or seen.count(label) >= max(1, wanted.count(label)))
        if not empty:
            seen.append(label)
    return bad
