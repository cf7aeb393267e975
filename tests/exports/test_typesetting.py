"""Line breaks, size and baselines of a text, found again from its pixels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont

from exports.typesetting import set_text
from layered import Box, Layer
from layered.fonts import font_file
from layered.placing import fit
from stages.text_layer import TextConfig, draw_text
from tests.exports.designs import record_of

WORDS = ("Grand", "Summer", "Sale", "every", "day", "50%", "off!", "Wow", "Iglu", "jump")


def drawn(text: str, font: str, size: tuple[int, int], align: str = "center", spacing: float = 0.2) -> Layer:
    box = Box(-7, 3, size[0] - 7, size[1] + 3)
    config = TextConfig(align=align, line_spacing=spacing)  # type: ignore[arg-type]
    return Layer(*fit(draw_text(text, font, "#203040", size, config), box))


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=5),
    font=st.sampled_from(["DejaVu Sans", "DejaVu Serif:bold", "DejaVu Sans Mono:italic"]),
    size=st.tuples(st.integers(140, 400), st.integers(50, 300)),
)
def test_a_drawn_text_is_found_as_it_was_set(words: list[str], font: str, size: tuple[int, int]) -> None:
    text = " ".join(words)
    layer = drawn(text, font, size)
    found = set_text(layer, record_of(0, layer, "", text, font, "#203040"))
    assert " ".join(line.text for line in found.lines) == text
    # The ink of an "x" at the found size is as wide as the layer's own glyphs: sizes agree within a pixel or two.
    face = ImageFont.truetype(str(font_file(font)), 1000)
    natural = max(face.getlength(line.text) for line in found.lines) / 1000 * found.size
    assert abs(natural - layer.box.width) < 0.35 * found.size + 3
    assert (found.color, found.bold) == ("#203040", "bold" in font)


@pytest.mark.parametrize("align", ["left", "center", "right"])
def test_alignment_and_pitch_are_found(align: str) -> None:
    text, font = "a long first line\nshort\nmedium one", "DejaVu Sans"
    layer = drawn(text, font, (300, 200), align, 0.6)
    found = set_text(layer, record_of(0, layer, "", text, font))
    assert found.align == align
    assert [line.text for line in found.lines] == text.split("\n")
    looser = drawn(text, font, (300, 200), align, 1.2)
    assert set_text(looser, record_of(0, looser, "", text, font)).pitch / found.pitch > 1.05


def test_a_font_file_is_named_by_its_own_family(tmp_path: Path) -> None:
    copy = tmp_path / "own.ttf"
    copy.write_bytes(font_file("DejaVu Serif:bold").read_bytes())
    layer = drawn("Hello", str(copy), (200, 60))
    found = set_text(layer, record_of(0, layer, "", "Hello", str(copy)))
    assert (found.family, found.bold, found.font) == ("DejaVu Serif", True, copy)


@pytest.mark.parametrize(
    ("text", "font", "message"),
    [
        ("Goodbye", "DejaVu Sans", "does not look like its layer"),
        ("Hello", "DejaVu Serif:italic", "does not look like its layer"),
        ("漢字", "DejaVu Sans", "lacks '漢'"),
        ("Hello", "No Such Family", "is not installed"),
        ("   ", "DejaVu Sans", "does not look like its layer"),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(text: str, font: str, message: str) -> None:
    layer = drawn("Hello", "DejaVu Sans:bold", (200, 60))
    with pytest.raises(ValueError, match=message):
        set_text(layer, record_of(0, layer, "", text, font))


def test_an_empty_layer_claims_nothing() -> None:
    layer = Layer(np.zeros((10, 30, 4), np.uint8), Box(0, 0, 30, 10))
    with pytest.raises(ValueError, match="does not look like"):
        set_text(layer, record_of(0, layer, "", "Hi", "DejaVu Sans"))
