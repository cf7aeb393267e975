"""Photo-like layers with exact composites: out and in again, bit for bit, and the whole as it was delivered."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exports.formats import format_of, reader_of
from layered import Layer, LayeredImage
from layered.pixels import clear_hidden
from layered.placing import alpha_box
from tests.exports.designs import assert_same_pixels, record_of, sidecar_of


def opened(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture.convert(mode))


def layer_of(path: Path) -> Layer:
    """A full-canvas picture, cropped to what is seen of it."""
    pixels = clear_hidden(opened(path, "RGBA"))
    box = alpha_box(pixels)
    assert box is not None
    return Layer(np.ascontiguousarray(pixels[box.pixels()]), box)


def designs(shared: Path) -> Iterator[tuple[LayeredImage, np.ndarray, int]]:
    """Design, the whole image that came with it, and how far that may be from an exact composite, in 1/255."""
    for folder in sorted((shared / "real_layers/opaque_scenes").iterdir()):
        layers = [layer_of(file) for file in sorted(folder.glob("layer_*.png"))]
        whole = opened(folder / "whole.png", "RGB")
        yield LayeredImage(opened(folder / "bg.png", "RGB"), tuple(layers)), whole, 2
    for folder in sorted((shared / "real_layers/semi_transparent").iterdir()):
        layer = layer_of(folder / "fg.png")
        image = LayeredImage(opened(folder / "bg.png", "RGB"), (layer,))
        yield image, opened(folder / "merged.png", "RGB"), 2


@pytest.mark.parametrize("name", ["psd", "ora"])
def test_real_layers_come_back_bit_for_bit(name: str, shared_dir: Path, tmp_path: Path) -> None:
    for number, (image, whole, tolerance) in enumerate(designs(shared_dir)):
        sidecar = sidecar_of(image, [record_of(index, layer, "a thing") for index, layer in enumerate(image.layers)])
        path = tmp_path / f"{number}.{name}"
        writer = format_of(name)
        assert hasattr(writer, "write")
        writer.write(image, sidecar, path)
        found, described = reader_of(path)(path)
        assert_same_pixels(found, image)
        assert described == sidecar
        assert np.abs(found.whole().astype(int) - whole).max() <= tolerance
        path.unlink()
    assert number >= 8
