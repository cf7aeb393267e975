import numpy as np
import pytest

from layered import Box, Layer, LayeredImage


def square(value: int, box: Box) -> Layer:
    return Layer(np.full((box.height, box.width, 4), (value, value, value, 255), np.uint8), box)


def test_the_whole_image_stacks_layers_bottom_to_top() -> None:
    image = LayeredImage(np.zeros((4, 6, 3), np.uint8), (square(50, Box(0, 0, 4, 4)), square(90, Box(2, 0, 9, 2))))
    whole = image.whole()
    assert image.canvas == (6, 4)
    assert (whole[:2, 2:] == 90).all()
    assert (whole[2:, :4] == 50).all()
    assert (whole[2:, 4:] == 0).all()


def test_leaving_layers_out_recomposes_the_rest_and_drops_the_merged_image() -> None:
    base = np.zeros((4, 4, 3), np.uint8)
    image = LayeredImage(base, (square(50, Box(0, 0, 4, 4)), square(90, Box(0, 0, 2, 2))), merged=base)
    rest = image.without({1})
    assert (rest.whole() == 50).all()
    assert rest.merged is None
    assert image.without(()).merged is base


def test_shapes_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fill the box"):
        Layer(np.zeros((2, 2, 4), np.uint8), Box(0, 0, 3, 2))
    with pytest.raises(ValueError, match="must be RGB"):
        LayeredImage(np.zeros((2, 2, 4), np.uint8), ())
    with pytest.raises(ValueError, match="differ in shape"):
        LayeredImage(np.zeros((2, 2, 3), np.uint8), (), np.zeros((2, 3, 3), np.uint8))
