"""The background's colour, read from a picture's border."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from layered.arrays import Color
from stages.matting import estimate_background


@given(
    color=st.tuples(*[st.integers(0, 255)] * 3),
    covered=st.integers(0, 40),
    other=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_the_background_is_found_though_the_object_touches_the_frame(color: Color, covered: int, other: Color) -> None:
    picture = np.full((64, 64, 3), color, np.uint8)
    picture[-20:, :covered] = other
    assert estimate_background(picture) == color
