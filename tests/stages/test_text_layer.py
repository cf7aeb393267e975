"""Text layers: exact words, the largest size that fits, one line for every mistake."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from layered.box import Box
from layered.errors import UserError
from layered.fonts import font_file
from layered.placing import alpha_box
from stages.records import TextDraw, TextLayer
from stages.stage import Failed
from stages.text_layer import TextConfig, TextLayers, draw_text

CONFIG = TextConfig()
FONTS = [
    f"DejaVu {family}{style}"
    for family in ("Sans", "Serif", "Sans Mono")
    for style in ("", ":bold", ":italic", ":oblique", ":bold italic")
]


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
    second=st.sampled_from(["", " sale", "\nNow"]),
    size=st.tuples(st.integers(110, 400), st.integers(40, 400)),  # twelve wide letters at the smallest size need 100
    font=st.sampled_from(FONTS),
)
def test_text_fills_its_box_and_never_leaves_it(text: str, second: str, size: tuple[int, int], font: str) -> None:
    rgba = draw_text(text + second, font, "#1a2b3c", size, CONFIG)
    height, width = rgba.shape[:2]
    assert width <= size[0]
    assert height <= size[1]
    assert alpha_box(rgba) == Box(0, 0, width, height)
    visible = rgba[..., 3] > 0
    assert (rgba[visible][:, :3] == (0x1A, 0x2B, 0x3C)).all()
    assert not rgba[~visible].any()


def test_one_size_more_would_not_fit() -> None:
    size = (200, 60)
    rgba = draw_text("SALE", "DejaVu Sans", "#000000", size, CONFIG)
    larger = draw_text("SALE", "DejaVu Sans", "#000000", (220, 66), CONFIG)
    assert larger.shape[1] > rgba.shape[1]
    assert rgba.shape[1] > 0.9 * size[0] or rgba.shape[0] > 0.7 * size[1]


def test_the_pixels_are_those_of_the_font() -> None:
    rgba = draw_text("Hello", "DejaVu Sans:bold", "#ff0000", (300, 100), CONFIG)
    path = font_file("DejaVu Sans:bold")
    matches = []
    for size in range(20, 140):
        font = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
        mask = Image.new("L", (600, 300))
        ImageDraw.Draw(mask).text((100, 50), "Hello", 255, font)
        drawn = np.asarray(mask.crop(mask.getbbox()))
        matches.append(drawn.shape == rgba.shape[:2] and (drawn == rgba[..., 3]).all())
    assert any(matches)


def test_words_wrap_where_that_makes_them_larger() -> None:
    wrapped = draw_text("grand summer opening", "DejaVu Sans", "#000000", (160, 160), CONFIG)
    single = draw_text("grand summer opening", "DejaVu Sans", "#000000", (160, 20), CONFIG)
    assert wrapped.shape[0] > 3 * single.shape[0]
    assert (wrapped[..., 3] > 0).mean() > 0.1


def test_lines_that_were_asked_for_stay() -> None:
    rgba = draw_text("a\nb", "DejaVu Sans", "#000000", (400, 100), CONFIG)
    rows = (rgba[..., 3] > 0).any(axis=1)
    assert np.flatnonzero(np.diff(rows.astype(int)) == 1).size >= 1  # a gap between two lines


def test_a_font_file_may_be_given(tmp_path: Path) -> None:
    copy = tmp_path / "own.ttf"
    copy.write_bytes(font_file("DejaVu Serif").read_bytes())
    by_file = draw_text("Hi", str(copy), "#000000", (80, 40), CONFIG)
    assert by_file.tobytes() == draw_text("Hi", "DejaVu Serif", "#000000", (80, 40), CONFIG).tobytes()


@pytest.mark.parametrize(
    ("text", "font", "size", "message"),
    [
        ("Hi", "No Such Family", (80, 40), "'No Such Family' is not installed"),
        ("Hi", "DejaVu Sans:blod", (80, 40), "style 'blod' is not one of bold, italic, oblique"),
        ("Hi", "/no/where.ttf", (80, 40), "/no/where.ttf does not exist"),
        ("Hi 漢字漢", "DejaVu Sans", (80, 40), "lacks '漢', '字'"),
        ("Hello", "DejaVu Sans", (3, 3), "box of 3×3 pixels is too small for the text 'Hello'"),
    ],
)
def test_a_mistake_is_one_line(text: str, font: str, size: tuple[int, int], message: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as raised:
        draw_text(text, font, "#000000", size, CONFIG)
    assert message in str(raised.value)


def test_the_stage_fails_one_text_and_draws_the_others() -> None:
    box = Box(-10, 5, 90, 45)
    batch = [TextDraw("s1", n, "Hi", font, "#00ff00", box) for n, font in enumerate(["DejaVu Sans", "Nope"])]
    good, bad = TextLayers(CONFIG).process(batch)
    assert isinstance(good, TextLayer)
    assert good.request is batch[0]
    assert isinstance(bad, Failed)
    assert (bad.sample_id, bad.layer_index, bad.stage) == ("s1", 1, "text_layer")
    assert "'Nope' is not installed" in bad.error
