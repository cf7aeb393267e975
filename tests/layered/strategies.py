"""Hypothesis strategies for boxes and pictures."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from layered import Box

coordinate = st.integers(-200, 200)


@st.composite
def boxes(draw: st.DrawFn, max_side: int = 120) -> Box:
    x0, y0 = draw(coordinate), draw(coordinate)
    return Box(x0, y0, x0 + draw(st.integers(1, max_side)), y0 + draw(st.integers(1, max_side)))


def pictures(channels: int, max_side: int = 24) -> st.SearchStrategy[np.ndarray]:
    """uint8 ``[h, w, channels]``."""
    side = st.integers(1, max_side)
    return st.tuples(side, side).flatmap(lambda size: hnp.arrays(np.uint8, (*size, channels)))


def tidy_pictures(max_side: int = 24) -> st.SearchStrategy[np.ndarray]:
    """Straight RGBA as it rests: RGB 0 where alpha is 0."""

    def tidy(rgba: np.ndarray) -> np.ndarray:
        rgba[rgba[..., 3] == 0] = 0
        return rgba

    return pictures(4, max_side).map(tidy)
