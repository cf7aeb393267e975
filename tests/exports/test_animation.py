"""The build-up: one frame more for each layer, the last one the whole image."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from exports.animation import LARGEST_SIDE, LAST_MILLISECONDS, Animation, frames
from exports.formats import FormatOptions
from layered import LayeredImage
from tests.exports.designs import design, sidecar_of


def test_each_frame_adds_a_layer(tmp_path: Path) -> None:
    image, sidecar = design()
    path = tmp_path / "a.webp"
    Animation(FormatOptions()).write(image, sidecar, path)
    with Image.open(path) as opened:
        shown = [np.array(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(opened)]
        assert (opened.n_frames, opened.info["loop"]) == (5, 0)
        assert opened.info["duration"] == LAST_MILLISECONDS
        assert opened.info["icc_profile"]
    for number, frame in enumerate(shown):
        wanted = LayeredImage(image.base, image.layers[:number]).whole()
        assert np.abs(frame - wanted).mean() < 4


def test_frames_are_exact_before_they_are_compressed() -> None:
    image, _ = design()
    first, *_, last = frames(image)
    assert np.array_equal(np.array(first), image.base)
    assert np.array_equal(np.array(last), image.whole())


def test_large_designs_are_scaled_and_empty_ones_are_one_frame(tmp_path: Path) -> None:
    image = LayeredImage(np.zeros((40, 3000, 3), np.uint8), ())
    path = tmp_path / "a.webp"
    Animation(FormatOptions()).write(image, sidecar_of(image, []), path)
    with Image.open(path) as opened:
        assert (opened.size[0], opened.n_frames) == (LARGEST_SIDE, 1)


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Animation(FormatOptions()).write(*design(), tmp_path / f"{name}.webp")
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()
