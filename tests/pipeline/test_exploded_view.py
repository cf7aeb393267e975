"""A sample taken apart in one picture."""

import numpy as np

from layered.image import LayeredImage
from layered.rendering import on_checkerboard
from pipeline.exploded_view import exploded_view, side_by_side, stacked
from tests.shards.samples import make_sample


def occurs_in(part: np.ndarray, picture: np.ndarray) -> bool:
    height, width = part.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (height, width, 3))[:, :, 0]
    return bool((windows == part).all(axis=(2, 3, 4)).any())


def test_whole_base_and_every_layer_are_in_the_picture() -> None:
    image, sidecar = make_sample(3, 3)
    picture = exploded_view(image, sidecar)
    for part in (image.whole(), image.base, *(on_checkerboard(layer.pixels) for layer in image.layers)):
        assert occurs_in(part, picture)


def test_a_merged_image_is_shown_too() -> None:
    image, sidecar = make_sample(3, 2)
    merged = 255 - image.base
    picture = exploded_view(LayeredImage(image.base, image.layers, merged), sidecar)
    assert occurs_in(merged, picture)
    assert not occurs_in(merged, exploded_view(image, sidecar))


def test_a_sample_without_layers_has_a_view() -> None:
    image, sidecar = make_sample(3, 0)
    assert occurs_in(image.base, exploded_view(image, sidecar))


def test_joined_pictures_keep_their_pixels() -> None:
    small, large = np.full((2, 3, 3), 7, np.uint8), np.full((5, 4, 3), 9, np.uint8)
    row, column = side_by_side([small, large]), stacked([small, large])
    assert (row.shape, column.shape) == ((5, 7, 3), (7, 4, 3))
    np.testing.assert_array_equal(row[:2, :3], small)
    np.testing.assert_array_equal(row[:, 3:], large)
    np.testing.assert_array_equal(column[:2, :3], small)
    np.testing.assert_array_equal(column[2:], large)
