"""Cut-outs of photographs: layers that hold together, of their photographs' colours, alike every time for one seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from models.recipes import photographs
from models.recipes.artifact_cutouts import cut_out, landscape, of_many_parts
from models.recipes.matting_textures import Values

SIDE = 96

pytestmark = pytest.mark.usefixtures("emoji_font", "made_up_photographs")


@pytest.mark.parametrize("render", [cut_out, of_many_parts])
@pytest.mark.parametrize("seed", range(6))
def test_a_layer_is_premultiplied_visible_and_repeats_itself(
    render: Callable[[int, np.random.Generator], Values], seed: int
) -> None:
    layer = render(SIDE, np.random.default_rng(seed))
    assert layer.shape == (SIDE, SIDE, 4)
    assert layer.min() >= 0
    assert layer.max() <= 1
    assert (layer[..., :3] <= layer[..., 3:] + 1e-6).all()
    assert 0.005 < layer[..., 3].mean() < 0.95
    assert np.array_equal(layer, render(SIDE, np.random.default_rng(seed)))
    assert not np.array_equal(layer, render(SIDE, np.random.default_rng(seed + 100)))


def test_a_landscape_fills_its_picture_with_a_photograph(made_up_photographs: Path) -> None:
    for photograph in photographs.PHOTOGRAPHS:
        stripes = np.zeros((180, 240, 3), np.uint8)
        stripes[::12] = stripes[1::12] = (250, 250, 250)
        Image.fromarray(stripes).save(made_up_photographs / photograph.file)
    photographs._loaded.cache_clear()
    picture = landscape(SIDE, np.random.default_rng(3))
    assert picture.shape == (SIDE, SIDE, 3)
    across, along = (float(np.abs(ndimage.sobel(picture.mean(axis=-1), axis)).mean()) for axis in (0, 1))
    assert across > 5 * along
