"""An animated WebP that builds the design up: the base image, then one layer more in each frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from exports.formats import FormatOptions
from exports.srgb import srgb_profile
from layered.arrays import UInt8Array
from layered.compositing import composite
from layered.image import LayeredImage
from layered.rendering import contained
from layered.sidecar import Sidecar

LARGEST_SIDE: Final = 1024
"""Pixels; larger designs are scaled down."""

FRAME_MILLISECONDS: Final = 600
LAST_MILLISECONDS: Final = 2400
QUALITY: Final = 90


@dataclass(frozen=True)
class Animation:
    """Writes animated WebP, endlessly repeated."""

    options: FormatOptions
    name = "webp"
    suffix = ".webp"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        first, *others = frames(image)
        durations = [FRAME_MILLISECONDS] * len(others) + [LAST_MILLISECONDS]
        first.save(
            path,
            format="WEBP",
            save_all=True,
            append_images=others,
            duration=durations,
            loop=0,
            quality=QUALITY,
            icc_profile=srgb_profile(),
        )
        return ()


def frames(image: LayeredImage) -> Iterator[Image.Image]:
    """The base image, then with each layer more; the last one is the whole image."""
    shown = image.base
    yield _small(shown)
    for number, layer in enumerate(image.layers, start=1):
        # Rounded once a frame; the last one is composited anew, so that it is the whole image exactly.
        last = number == len(image.layers)
        shown = image.whole() if last else composite(shown, [(layer.pixels, layer.box)])
        yield _small(shown)


def _small(rgb: UInt8Array) -> Image.Image:
    return Image.fromarray(contained(rgb, (LARGEST_SIDE, LARGEST_SIDE)))
