"""SVG: the picture of the design in every program, and texts that are text."""

import base64
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import resvg_py
from fontTools.ttLib import TTFont
from hypothesis import HealthCheck, given, settings
from PIL import Image
from scipy.ndimage import uniform_filter

from exports.formats import FormatOptions
from exports.svg import Svg
from layered import LayeredImage, Sidecar
from layered.box import Box
from layered.image import Layer
from tests.exports.designs import design, samples

NS = {"svg": "http://www.w3.org/2000/svg"}
INKSCAPE = "{http://www.inkscape.org/namespaces/inkscape}"
HREF = "{http://www.w3.org/1999/xlink}href"


def written(sample: tuple[LayeredImage, Sidecar], folder: Path, outlines: bool = False) -> Path:
    path = folder / "sample.svg"
    assert Svg(FormatOptions(outlines=outlines)).write(*sample, path) == []
    return path


def resvg_renders(path: Path, folder: Path) -> np.ndarray:
    """RGB, by a renderer without fonts of the system."""
    target = folder / "resvg.png"
    target.write_bytes(bytes(resvg_py.svg_to_bytes(svg_path=str(path), skip_system_fonts=True)))
    with Image.open(target) as opened:
        return np.array(opened.convert("RGB")).astype(int)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_pictures_lie_where_they_belong(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    rendered = resvg_renders(written(sample, tmp_path), tmp_path)
    # resvg mixes in 8 bits, layer by layer.
    assert np.abs(rendered - sample[0].whole()).max() <= 1 + len(sample[0].layers)


def test_layers_are_named_and_titled(tmp_path: Path) -> None:
    root = ElementTree.parse(written(design(), tmp_path)).getroot()
    groups = root.findall("svg:g", NS)
    assert [group.get(f"{INKSCAPE}label") for group in groups] == [
        "a meadow", "a red ball", "a glass ball 🎈", "Grand Sale", "fresh and sweet fruit",
    ]  # fmt: skip
    assert groups[2].findtext("svg:title", namespaces=NS) == "a glass ball 🎈"
    assert root.findtext("svg:title", namespaces=NS) == "a design, with everything"
    assert Sidecar.from_json(root.findtext("svg:metadata", namespaces=NS).encode()) == design()[1]


def test_a_text_is_text_with_its_glyphs_embedded(tmp_path: Path) -> None:
    root = ElementTree.parse(written(design(), tmp_path)).getroot()
    first, second = root.findall(".//svg:text", NS)
    assert ["".join(span.itertext()) for span in second] == ["fresh and", "sweet", "fruit"]
    assert "".join(first.itertext()) == "Grand Sale"
    assert (first.get("fill"), first.get("font-weight")) == ("#fff0a0", "bold")
    embedded = re.findall(r"base64,([A-Za-z0-9+/=]+)", root.findtext("svg:style", namespaces=NS))
    fonts = []
    for number, data in enumerate(embedded):
        file = tmp_path / f"{number}.woff"
        file.write_bytes(base64.b64decode(data))
        fonts.append(TTFont(file))
    assert set(fonts[0].getBestCmap()) == {ord(character) for character in "Grand Sale"}
    assert max(file.stat().st_size for file in tmp_path.glob("*.woff")) < 20_000


def test_outlines_need_no_font(tmp_path: Path) -> None:
    path = written(design(), tmp_path, outlines=True)
    root = ElementTree.parse(path).getroot()
    assert not root.findall(".//svg:text", NS)
    assert text_difference(resvg_renders(path, tmp_path)) < 0.35


def test_chromium_draws_texts_where_they_were(tmp_path: Path, require: Callable[[str], None]) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        require("chromium (apt-get install chromium)")
    path, target = written(design(), tmp_path), tmp_path / "chromium.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=240,160"]
    command = [str(chromium), *options, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={target}"]
    subprocess.run([*command, path.as_uri()], check=True, capture_output=True, timeout=240)
    with Image.open(target) as opened:
        assert text_difference(np.array(opened.convert("RGB")).astype(int)) < 0.35


def text_difference(rendered: np.ndarray) -> float:
    """How much of the texts is not where it was: 0 for the very same pixels, 1 where no text was drawn.

    Hinting moves strokes within a pixel, so pixels are compared with their neighbours.
    """
    image, _ = design()
    boxes = [layer.box.intersection(Box.canvas(image.canvas)) for layer in image.layers[2:]]
    whole, without = image.whole().astype(float), image.without([2, 3]).whole()
    changed, texts = (uniform_filter(other - whole, (3, 3, 1)) for other in (rendered, without))
    ratios = [np.abs(changed[box.pixels()]).sum() / np.abs(texts[box.pixels()]).sum() for box in boxes]
    return float(max(ratios))


def test_a_text_that_was_painted_over_stays_a_picture(tmp_path: Path) -> None:
    image, sidecar = design()
    painted = image.layers[2].pixels.copy()
    painted[..., 3] = 255
    layers = (*image.layers[:2], Layer(painted, image.layers[2].box), image.layers[3])
    changed = LayeredImage(image.base, layers)
    (warning,) = Svg(FormatOptions()).write(changed, sidecar, tmp_path / "sample.svg")
    assert warning == "a text is a picture: the text in font 'DejaVu Sans:bold' does not look like its layer"
    assert len(ElementTree.parse(tmp_path / "sample.svg").getroot().findall(".//svg:text", NS)) == 1


@pytest.mark.parametrize("outlines", [False, True])
def test_equal_samples_give_equal_bytes(outlines: bool, tmp_path: Path) -> None:
    first = written(design(), tmp_path, outlines).read_bytes()
    assert written(design(), tmp_path, outlines).read_bytes() == first
