"""OpenRaster out and in: layers bit for bit, a zip as the format wants it, the same picture elsewhere."""

import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from hypothesis import HealthCheck, given, settings
from PIL import Image
from pyora import TYPE_LAYER, Project

from exports.formats import FormatOptions
from exports.open_raster import OpenRaster
from exports.open_raster_reading import read_open_raster
from layered import LayeredImage, Sidecar
from tests.exports.designs import assert_same_pixels, design, samples, sixty_layers

ORA = OpenRaster(FormatOptions())


def written(sample: tuple[LayeredImage, Sidecar], folder: Path) -> Path:
    path = folder / "sample.ora"
    assert ORA.write(*sample, path) == ()
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_anything_comes_back_as_it_was(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    image, sidecar = read_open_raster(written(sample, tmp_path))
    assert_same_pixels(image, sample[0])
    assert sidecar == sample[1]


def test_sixty_layers_come_back(tmp_path: Path) -> None:
    image, sidecar = sixty_layers()
    found, described = read_open_raster(written((image, sidecar), tmp_path))
    assert_same_pixels(found, image)
    assert described == sidecar


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    first = written(design(merged=True), tmp_path).read_bytes()
    assert written(design(merged=True), tmp_path).read_bytes() == first


def test_the_file_begins_as_the_format_wants_it(tmp_path: Path) -> None:
    data = written(design(), tmp_path).read_bytes()
    assert data[30:38] == b"mimetype"
    assert data[38:54] == b"image/openraster"


def test_the_zip_holds_merged_image_and_thumbnail_in_srgb(tmp_path: Path) -> None:
    image, _ = design()
    with zipfile.ZipFile(written(design(), tmp_path)) as archive:
        assert archive.testzip() is None
        with Image.open(io.BytesIO(archive.read("mergedimage.png"))) as merged:
            assert np.array_equal(np.array(merged), image.whole())
        with Image.open(io.BytesIO(archive.read("Thumbnails/thumbnail.png"))) as thumbnail:
            assert max(thumbnail.size) <= 256
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        assert all(b"sRGB" in archive.read(name)[:80] for name in pictures)


def test_the_stack_lists_layers_from_the_top(tmp_path: Path) -> None:
    with zipfile.ZipFile(written(design(merged=True), tmp_path)) as archive:
        root = ElementTree.fromstring(archive.read("stack.xml"))
    merged, group, base = root.findall("stack/*")
    assert (merged.get("visibility"), group.get("name"), base.get("name")) == ("hidden", "layers", "a meadow")
    names = [layer.get("name") for layer in group]
    assert names == ["fresh and sweet fruit", "Grand Sale", "a glass ball 🎈", "a red ball"]
    assert (group[3].get("x"), group[3].get("y")) == ("-30", "40")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_another_reader_sees_the_whole_image(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    project = Project.load(str(written(sample, tmp_path)))
    rendered = np.array(project.get_image_data(use_original=False).convert("RGB"))
    assert np.abs(rendered.astype(int) - sample[0].whole()).max() <= 1


def test_another_reader_finds_names_and_places(tmp_path: Path) -> None:
    project = Project.load(str(written(design(), tmp_path)))
    found = {layer.name: layer.offsets for layer in project.children_recursive if layer.type == TYPE_LAYER}
    assert found["a red ball"] == (-30, 40)
    assert set(found) == {"a meadow", "a red ball", "a glass ball 🎈", "Grand Sale", "fresh and sweet fruit"}
