"""Records of layers that no run drew."""

import hashlib

import numpy as np

from layered.box import Box
from layered.image import Layer
from layered.png import encode_png
from layered.sidecar import LayerRecord


def test_a_layer_that_nobody_drew_is_described_by_its_pixels_and_its_caption() -> None:
    layer = Layer(np.full((20, 30, 4), 7, np.uint8), Box(-5, 1, 25, 21))
    record = LayerRecord.of_layer(2, layer, "a car")
    assert (record.index, record.kind, record.caption, record.text) == (2, "image", "a car", "")
    assert record.box == record.layout_box == (-5, 1, 25, 21)
    assert record.sha256 == hashlib.sha256(encode_png(layer.pixels)).hexdigest()
    assert (record.model, record.revision, record.licence) == ("", "", "")


def test_text_and_the_wanted_box_are_kept() -> None:
    layer = Layer(np.zeros((4, 4, 4), np.uint8), Box(0, 0, 4, 4))
    record = LayerRecord.of_layer(0, layer, "a title", Box(0, 0, 9, 9), text="SALE", model="by hand", licence="CC0-1.0")
    assert (record.kind, record.text, record.layout_box) == ("text", "SALE", (0, 0, 9, 9))
    assert (record.model, record.licence) == ("by hand", "CC0-1.0")
