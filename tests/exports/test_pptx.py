"""PowerPoint: layers in their places, texts to edit, captions for who cannot see."""

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image
from pptx import Presentation
from pptx.util import Emu

from exports.formats import FormatOptions
from exports.pptx import EMU_PER_PIXEL, Pptx
from layered import LayeredImage, Sidecar
from tests.exports.designs import design, samples, sidecar_of
from tests.exports.test_svg import text_difference


def written(sample: tuple[LayeredImage, Sidecar], folder: Path) -> Path:
    path = folder / "sample.pptx"
    Pptx(FormatOptions()).write(*sample, path)
    return path


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_every_layer_is_a_picture_in_its_place(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    presentation = Presentation(str(written(sample, tmp_path)))
    shapes = list(presentation.slides[0].shapes)
    scale = presentation.slide_width / sample[0].canvas[0]
    assert len(shapes) == 1 + len(sample[0].layers)
    for shape, layer in zip(shapes[1:], sample[0].layers, strict=True):
        # The slide's own width is rounded, so that the scale is not exact.
        assert abs(shape.left - layer.box.x0 * scale) < 100
        assert abs(shape.top - layer.box.y0 * scale) < 100
        with Image.open(io.BytesIO(shape.image.blob)) as picture:
            assert np.array_equal(np.array(picture), layer.pixels)


def test_texts_can_be_edited_and_pictures_have_words(tmp_path: Path) -> None:
    presentation = Presentation(str(written(design(), tmp_path)))
    assert (presentation.slide_width, presentation.slide_height) == (240 * EMU_PER_PIXEL, 160 * EMU_PER_PIXEL)
    _, ball, _, first, second = presentation.slides[0].shapes
    assert ball.name == "a red ball"
    assert ball._element.nvPicPr.cNvPr.get("descr") == "a red ball"
    assert [paragraph.text for paragraph in second.text_frame.paragraphs] == ["fresh and", "sweet", "fruit"]
    font = first.text_frame.paragraphs[0].runs[0].font
    assert (font.name, font.bold, str(font.color.rgb)) == ("DejaVu Sans", True, "FFF0A0")


def test_the_needed_font_is_said(tmp_path: Path) -> None:
    warnings = Pptx(FormatOptions()).write(*design(), tmp_path / "a.pptx")
    assert warnings == [
        "text needs the font 'DejaVu Sans' where the file is opened",
        "text needs the font 'DejaVu Serif' where the file is opened",
    ]


@pytest.mark.parametrize("size", [(5, 90), (9000, 300)])
def test_a_slide_stays_within_what_powerpoint_allows(size: tuple[int, int], tmp_path: Path) -> None:
    image = LayeredImage(np.zeros((size[1], size[0], 3), np.uint8), ())
    presentation = Presentation(str(written((image, sidecar_of(image, [])), tmp_path)))
    sides = Emu(presentation.slide_width).inches, Emu(presentation.slide_height).inches
    assert min(sides) >= 1
    assert max(sides) <= 56.001
    assert sides[0] / sides[1] == pytest.approx(size[0] / size[1], rel=1e-3)


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    first = written(design(), tmp_path).read_bytes()
    assert written(design(), tmp_path).read_bytes() == first


def test_libreoffice_shows_the_design(tmp_path: Path, require: Callable[[str], None]) -> None:
    office = shutil.which("soffice")
    if office is None:
        require("LibreOffice (apt-get install --no-install-recommends libreoffice-impress)")
    path = written(design(), tmp_path)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [str(office), profile, "--headless", "--convert-to", "png", "--outdir", str(tmp_path), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    with Image.open(path.with_suffix(".png")) as opened:
        rendered = np.array(opened.convert("RGB").resize((240, 160))).astype(int)
    whole = design()[0].whole().astype(int)
    assert np.abs(rendered - whole)[:, :110].mean() < 4
    # Another program sets a text a pixel higher or lower.
    assert text_difference(rendered) < 0.8
