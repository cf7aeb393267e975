"""A generator's own alpha passes through."""

import numpy as np
import pytest

from stages.matting import MattingConfig, matter_of
from tests.stages.matting.composites import shape


def test_transparency_passes_through_with_hidden_colours_cleared() -> None:
    layer = shape("ring", (200, 60, 150), 64)
    found, _ = matter_of(MattingConfig(backend="native")).matte(layer)
    assert np.array_equal(found[..., 3], layer[..., 3])
    visible = layer[..., 3] > 0
    assert np.array_equal(found[visible], layer[visible])
    assert not found[~visible].any()


def test_a_picture_without_transparency_is_refused() -> None:
    with pytest.raises(ValueError, match="8-bit RGBA"):
        matter_of(MattingConfig(backend="native")).matte(np.zeros((8, 8, 3), np.uint8))
