"""The layered folder in sRGB: every command that takes one takes it."""

from pathlib import Path

import numpy as np
from PIL import Image

from exports.formats import FormatOptions
from exports.png_folder import PngFolder
from layered.codec import decode_members
from layered.folder import read_layered_folder
from tests.exports.designs import assert_same_pixels, design


def test_the_folder_reads_back_and_says_srgb(tmp_path: Path) -> None:
    image, sidecar = design(merged=True)
    PngFolder(FormatOptions()).write(image, sidecar, tmp_path / "s0000000.json")
    ((key, members),) = read_layered_folder(tmp_path).items()
    found, described = decode_members(members)
    assert key == "s0000000"
    assert_same_pixels(found, image)
    assert described.model_copy(update={"layers": sidecar.layers}) == sidecar
    for file in tmp_path.glob("*.png"):
        with Image.open(file) as opened:
            assert opened.info["srgb"] == 0
    with Image.open(tmp_path / "s0000000.whole_image.png") as whole:
        assert np.array_equal(np.array(whole), image.whole())
