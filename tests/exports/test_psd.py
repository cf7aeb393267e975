"""PSD out and in: layers bit for bit, the preview exact, and other programs see the same picture."""

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image, ImageCms
from psd_tools import PSDImage

from exports.formats import FormatOptions
from exports.psd import Psd
from exports.psd_reading import read_psd
from layered import LayeredImage, Sidecar, UserError
from tests.exports.designs import assert_same_pixels, design, samples, sidecar_of, sixty_layers

PSD = Psd(FormatOptions())


def written(sample: tuple[LayeredImage, Sidecar], folder: Path) -> Path:
    path = folder / "sample.psd"
    assert PSD.write(*sample, path) == ()
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_anything_comes_back_as_it_was(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    image, sidecar = read_psd(written(sample, tmp_path))
    assert_same_pixels(image, sample[0])
    assert sidecar == sample[1]


def test_sixty_layers_come_back(tmp_path: Path) -> None:
    image, sidecar = sixty_layers()
    found, described = read_psd(written((image, sidecar), tmp_path))
    assert_same_pixels(found, image)
    assert described == sidecar


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    first = written(design(merged=True), tmp_path).read_bytes()
    assert written(design(merged=True), tmp_path).read_bytes() == first


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_pillow_and_psd_tools_see_the_whole_image(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    path, whole = written(sample, tmp_path), sample[0].whole().astype(int)
    with Image.open(path) as opened:
        assert np.array_equal(np.array(opened.convert("RGB")), whole)
    document = PSDImage.open(path)
    composited = document.composite(ignore_preview=True, apply_icc=False).convert("RGB")
    assert np.abs(np.array(composited).astype(int) - whole).max() <= 1


def test_the_layers_panel_shows_names_and_a_group(tmp_path: Path) -> None:
    document = PSDImage.open(written(design(merged=True), tmp_path))
    base, group, merged = document
    assert (base.name, group.name, merged.name) == ("a meadow", "layers", "merged image")
    assert [layer.name for layer in group] == ["a red ball", "a glass ball 🎈", "Grand Sale", "fresh and sweet fruit"]
    assert (group[0].left, group[0].top) == (-30, 40)
    assert [layer.visible for layer in (base, group, merged)] == [True, True, False]


def test_the_profile_is_srgb(tmp_path: Path) -> None:
    path = written(design(), tmp_path)
    with Image.open(path) as opened:
        profile = ImageCms.getOpenProfile(io.BytesIO(opened.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_what_people_change_is_read(tmp_path: Path) -> None:
    path = written(design(), tmp_path)
    document = PSDImage.open(path)
    group = document[1]
    group[0].left += 10
    group[1].name = "a soap bubble"
    group[2].visible = False
    document.save(path)
    image, sidecar = read_psd(path)
    wanted, before = design()
    assert image.layers[0].box == wanted.layers[0].box.shifted(10, 0)
    assert [record.caption for record in sidecar.layers] == ["a red ball", "a soap bubble", ""]
    assert [record.index for record in sidecar.layers] == [0, 1, 2]
    assert sidecar.layers[0].model == before.layers[0].model
    assert (sidecar.layers[1].model, sidecar.layers[2].text) == ("", "fresh and sweet fruit")
    assert sidecar.provenance["caption_source"] == "layer names"
    # The former caption would name what is gone.
    assert sidecar.whole_caption == "a meadow, a red ball, a soap bubble, fresh and sweet fruit"


def test_a_canvas_beyond_the_format_is_refused(tmp_path: Path) -> None:
    image = LayeredImage(np.zeros((1, 30_001, 3), np.uint8), ())
    with pytest.raises(UserError, match="at most 30000 pixels"):
        PSD.write(image, sidecar_of(image, []), tmp_path / "long.psd")


def test_gimp_sees_the_same_picture(tmp_path: Path, require: Callable[[str], None]) -> None:
    if shutil.which("gimp-console-2.10") is None:
        require("GIMP (apt-get install --no-install-recommends gimp)")
    path, image = written(design(merged=True), tmp_path), design()[0]
    assert np.abs(gimp_renders(path, tmp_path / "gimp.png").astype(int) - image.whole()).max() <= 2


def gimp_renders(path: Path, target: Path) -> np.ndarray:
    """What GIMP makes of a file's layers, RGB. Its merged preview is not used: GIMP flattens what it has loaded."""
    script = (
        f'(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{path}" "{path}")))'
        f" (drawable (car (gimp-image-flatten image))))"
        f' (file-png-save-defaults RUN-NONINTERACTIVE image drawable "{target}" "{target}"))'
    )
    command = ["gimp-console-2.10", "-n", "-i", "-d", "-f", "-b", script, "-b", "(gimp-quit 0)"]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    with Image.open(target) as opened:
        return np.array(opened.convert("RGB"))


def test_a_sidecar_of_another_canvas_is_not_believed(tmp_path: Path) -> None:
    image, sidecar = design()
    wrong = sidecar.model_copy(update={"canvas": (7, 7)})
    _, found = read_psd(written((image, wrong), tmp_path))
    assert found.canvas == image.canvas
    assert found.provenance["caption_source"] == "layer names"
