"""Layered images of drawn things, which the judge recognises."""

from collections.abc import Sequence

import numpy as np

from layered.box import Box
from layered.image import Layer, LayeredImage
from models.recipes.sprites import place


def design_of(labels: Sequence[str], empty: int = 0) -> LayeredImage:
    """Sprites above each other, and some layers that show nothing. Needs the emoji font."""
    box = Box(0, 0, 64, 64)
    layers = [Layer(np.asarray(place(label, "cartoon", 0.9, (0, 0), 64)), box) for label in labels]
    layers += [Layer(np.zeros((64, 64, 4), np.uint8), box)] * empty
    return LayeredImage(np.zeros((128, 128, 3), np.uint8), tuple(layers))
