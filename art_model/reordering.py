"""The same design with layers that do not overlap in another order: tokens change places, and no pixel changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from art_model.caching import CachedDesign
from art_model.regions import FIRST_FOREGROUND


def reordered(design: CachedDesign, rng: np.random.Generator) -> CachedDesign:
    """A random order of the foregrounds in which whatever overlaps stays as it was, on cached tokens."""
    order = _random_order(design, rng)
    parts = torch.split(design.tokens, list(design.regions.lengths))
    foregrounds = [parts[FIRST_FOREGROUND + index] for index in order]
    return replace(
        design,
        boxes=tuple(design.boxes[index] for index in order),
        kinds=tuple(design.kinds[index] for index in order),
        tokens=torch.cat([*parts[:FIRST_FOREGROUND], *foregrounds]),
    )


def _random_order(design: CachedDesign, rng: np.random.Generator) -> list[int]:
    """Again and again one of the layers with nothing left below them."""
    waiting, order = list(range(len(design.boxes))), []
    while waiting:
        ready = [
            index
            for place, index in enumerate(waiting)
            if not any(design.boxes[below].intersection(design.boxes[index]) for below in waiting[:place])
        ]
        chosen = int(rng.choice(ready))
        waiting.remove(chosen)
        order.append(chosen)
    return order
