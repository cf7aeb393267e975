"""Samples to export: small designs with shapes, soft edges, texts, odd names and odd boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from layered import Box, Layer, LayeredImage, LayerRecord, Sidecar
from layered.arrays import UInt8Array
from layered.pixels import clear_hidden
from layered.placing import fit
from stages.text_layer import TextConfig, draw_text
from tests.layered.strategies import tidy_pictures

ODD_NAMES = ("", "Ünï🦋 名前", "a\nb\tc", "<&\"']]>", "x" * 300, "\x00\x07 bell", "e\u0301 \u202e rtl", "/etc/passwd")


def record_of(index: int, layer: Layer, caption: str, text: str = "", font: str = "", color: str = "") -> LayerRecord:
    record = LayerRecord.of_layer(index, layer, caption, text=text, model="tests", licence="CC0-1.0")
    return record.model_copy(update={"seed": index, "revision": "1", "font": font, "color": color})


def sidecar_of(image: LayeredImage, records: Sequence[LayerRecord], sample_id: str = "s0000000") -> Sidecar:
    return Sidecar(
        id=sample_id,
        canvas=image.canvas,
        style_category="cartoon",
        whole_caption="a design, with everything",
        base_caption="a meadow",
        layer_count=len(records),
        scores={"alpha": 0.5},
        layers=tuple(records),
        provenance={"made_by": "tests"},
    )


def blob(size: tuple[int, int], color: tuple[int, int, int], opacity: float = 1.0) -> UInt8Array:
    """A soft ellipse, straight RGBA."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5)
    alpha = np.clip((0.5 - distance) * 12, 0, 1) * 255 * opacity
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[..., :3] = color
    rgba[..., 3] = alpha.round()
    return clear_hidden(rgba)


def design(sample_id: str = "s0000000", merged: bool = False) -> tuple[LayeredImage, Sidecar]:
    """A gradient, two blobs (one overflows to the left, one is half transparent), and two texts, one of two lines."""
    width, height = 240, 160
    base = np.empty((height, width, 3), np.uint8)
    base[...] = np.linspace(60, 200, width).astype(np.uint8)[None, :, None]
    base[..., 2] = np.linspace(250, 90, height).astype(np.uint8)[:, None]
    layers = [
        Layer(blob((90, 80), (220, 30, 40)), Box(-30, 40, 60, 120)),
        Layer(blob((70, 70), (20, 120, 240), 0.6), Box(30, 70, 100, 140)),
    ]
    records = [record_of(0, layers[0], "a red ball"), record_of(1, layers[1], "a glass ball 🎈")]
    texts = [
        ("Grand Sale", "DejaVu Sans:bold", "#fff0a0", Box(70, 10, 230, 46)),
        ("fresh and sweet fruit", "DejaVu Serif", "#102010", Box(120, 60, 230, 130)),
    ]
    for text, font, color, box in texts:
        pixels, placed = fit(draw_text(text, font, color, box.size, TextConfig()), box)
        layers.append(Layer(pixels, placed))
        records.append(record_of(len(records), layers[-1], "", text, font, color))
    image = LayeredImage(base, tuple(layers), base[::-1].copy() if merged else None)
    return image, sidecar_of(image, records, sample_id)


@st.composite
def samples(draw: st.DrawFn) -> tuple[LayeredImage, Sidecar]:
    """Anything that a sample can be: from a single pixel to many layers, some beyond the canvas, oddly named."""
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    base = draw(hnp.arrays(np.uint8, (height, width, 3)))
    layers, records = [], []
    for index in range(draw(st.sampled_from((0, 1, 2, 3, 5)))):
        pixels = draw(tidy_pictures(max_side=12))
        left, top = draw(st.integers(-20, 45)), draw(st.integers(-20, 45))
        layers.append(Layer(pixels, Box(left, top, left + pixels.shape[1], top + pixels.shape[0])))
        records.append(record_of(index, layers[-1], draw(st.sampled_from(ODD_NAMES) | st.text(max_size=20))))
    merged = draw(st.none() | hnp.arrays(np.uint8, (height, width, 3)))
    image = LayeredImage(base, tuple(layers), merged)
    return image, sidecar_of(image, records)


def assert_same_pixels(found: LayeredImage, wanted: LayeredImage) -> None:
    """Base, layers, boxes and merged image, bit for bit."""
    assert np.array_equal(found.base, wanted.base)
    assert [layer.box for layer in found.layers] == [layer.box for layer in wanted.layers]
    for ours, theirs in zip(found.layers, wanted.layers, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
    assert (found.merged is None) == (wanted.merged is None)
    if found.merged is not None and wanted.merged is not None:
        assert np.array_equal(found.merged, wanted.merged)
    assert np.array_equal(found.whole(), wanted.whole())


def sixty_layers() -> tuple[LayeredImage, Sidecar]:
    """More layers than any design of the published sets has."""
    layers = tuple(Layer(blob((9, 9), (4 * n, 200, 9)), Box(n, n, n + 9, n + 9)) for n in range(60))
    image = LayeredImage(np.full((70, 70, 3), 90, np.uint8), layers)
    return image, sidecar_of(image, [record_of(n, layer, f"layer number {n}") for n, layer in enumerate(layers)])
