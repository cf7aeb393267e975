"""PSD files made elsewhere: what can be baked looks like the preview, what cannot is refused by name."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.api.layers import Group, PixelLayer
from psd_tools.constants import BlendMode, Tag

from exports.formats import FormatOptions
from exports.psd import Psd
from exports.psd_reading import read_psd
from layered import UserError
from layered.compositing import over_color
from tests.exports.designs import blob, design

MODES = [mode for mode in BlendMode if mode not in (BlendMode.PASS_THROUGH, BlendMode.DISSOLVE)]
BALL = Image.fromarray(blob((40, 40), (200, 120, 40), 0.8))
SHADE = Image.fromarray(blob((50, 30), (90, 160, 210), 0.7))


def document(opaque: bool = True) -> PSDImage:
    """A document of 64×64 with a gradient, or with nothing opaque at all."""
    ramp = np.zeros((64, 64, 4), np.uint8)
    ramp[..., 0] = np.arange(64) * 4
    ramp[..., 1] = np.arange(64)[:, None] * 3
    ramp[..., 2] = 120
    ramp[..., 3] = 255 if opaque else 100
    made = PSDImage.frompil(Image.new("RGBA", (64, 64)))
    made.create_pixel_layer(Image.fromarray(ramp), name="ground")
    return made


def saved(made: PSDImage, folder: Path) -> Path:
    """Written with psd-tools' own composite as the preview."""
    path = folder / "elsewhere.psd"
    made.mark_updated()
    info = made._record.layer_and_mask_information.layer_info
    info.layer_count = -abs(info.layer_count)  # the fourth channel is transparency
    made.save(path)
    return path


def difference(path: Path) -> int:
    """Between the composite of what was read and psd-tools' picture of the file, on white."""
    picture = PSDImage.open(path).composite(ignore_preview=True, apply_icc=False)
    on_white = over_color(np.array(picture.convert("RGBA")), (255, 255, 255))
    return int(np.abs(on_white.astype(int) - read_psd(path)[0].whole()).max())


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_blend_mode_is_baked(mode: BlendMode, tmp_path: Path) -> None:
    made = document()
    made.create_pixel_layer(BALL, name="ball", left=-8, top=10)
    made.create_pixel_layer(SHADE, name="shade", left=10, top=12, blend_mode=mode)
    path = saved(made, tmp_path)
    assert difference(path) <= 2
    image, sidecar = read_psd(path)
    assert [record.caption for record in sidecar.layers] == ["ball", "shade"]
    assert np.array_equal(image.layers[1].pixels[..., 3], np.array(SHADE)[..., 3])
    assert sidecar.provenance["caption_source"] == "layer names"
    assert ("shade" in sidecar.provenance["baked"]) == (mode != BlendMode.NORMAL)


def opacity(made: PSDImage) -> None:
    made.create_pixel_layer(BALL, name="ball", left=5, top=5, opacity=130)


def mask(made: PSDImage) -> None:
    ball = made.create_pixel_layer(BALL, name="ball", left=5, top=5)
    ball.create_mask(Image.fromarray(np.tile(np.arange(40, dtype=np.uint8) * 6, (40, 1))), top=5, left=5)


def clipping(made: PSDImage) -> None:
    made.create_pixel_layer(BALL, name="ball", left=5, top=5)
    made.create_pixel_layer(SHADE, name="shade", left=12, top=12).clipping = True


def clipping_that_multiplies(made: PSDImage) -> None:
    clipping(made)
    made[-1].blend_mode = BlendMode.MULTIPLY


def half_transparent_group(made: PSDImage) -> None:
    group = made.create_group(name="pair", opacity=120)
    group.create_pixel_layer(BALL, name="ball", left=5, top=5)
    group.create_pixel_layer(SHADE, name="shade", left=12, top=12)


def isolated_group_that_mixes(made: PSDImage) -> None:
    group = made.create_group(name="pair", blend_mode=BlendMode.NORMAL)
    group.create_pixel_layer(BALL, name="ball", left=5, top=5)
    group.create_pixel_layer(SHADE, name="shade", left=12, top=12, blend_mode=BlendMode.MULTIPLY)


def group_that_multiplies(made: PSDImage) -> None:
    group = made.create_group(name="pair", blend_mode=BlendMode.MULTIPLY)
    group.create_pixel_layer(BALL, name="ball", left=5, top=5)
    group.create_pixel_layer(SHADE, name="shade", left=12, top=12)


def open_group_that_mixes(made: PSDImage) -> None:
    isolated_group_that_mixes(made)
    made[-1].blend_mode = BlendMode.PASS_THROUGH


def hidden_layers(made: PSDImage) -> None:
    made.create_pixel_layer(BALL, name="ball", left=5, top=5).visible = False
    group = made.create_group(name="pair")
    group.create_pixel_layer(SHADE, name="shade", left=12, top=12)
    group.visible = False


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize(
    ("arrange", "names"),
    [
        (opacity, ["ball"]),
        (mask, ["ball"]),
        (clipping, ["ball"]),
        (clipping_that_multiplies, ["ball"]),
        (half_transparent_group, ["pair"]),
        (isolated_group_that_mixes, ["pair"]),
        (group_that_multiplies, ["pair"]),
        (open_group_that_mixes, ["ball", "shade"]),
        (hidden_layers, []),
    ],
)
def test_whatever_is_baked_looks_the_same(
    arrange: Callable[[PSDImage], None], names: list[str], opaque: bool, tmp_path: Path
) -> None:
    made = document(opaque)
    arrange(made)
    path = saved(made, tmp_path)
    assert difference(path) <= 2
    _, sidecar = read_psd(path)
    assert [record.caption for record in sidecar.layers] == ([] if opaque else ["ground"]) + names
    assert sidecar.provenance["base_source"] == ("lowest layer" if opaque else "white")


def test_plain_groups_are_taken_apart(tmp_path: Path) -> None:
    made = document()
    outer = made.create_group(name="outer")
    inner = Group.new(outer, name="inner")
    PixelLayer.frompil(BALL, inner, name="ball", left=-20, top=50)
    path = saved(made, tmp_path)
    image, sidecar = read_psd(path)
    assert [record.caption for record in sidecar.layers] == ["ball"]
    assert np.array_equal(image.layers[0].pixels, np.array(BALL))
    assert image.layers[0].box.as_list() == [-20, 50, 20, 90]


def test_a_flat_file_is_its_base_image(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    path = tmp_path / "Flat File (1).psd"
    PSDImage.frompil(Image.fromarray(pixels)).save(path)
    image, sidecar = read_psd(path)
    assert np.array_equal(image.base, pixels)
    assert (sidecar.id, sidecar.layer_count) == ("flat-file-1", 0)


def test_a_pass_through_group_that_mixes_at_half_opacity_is_refused(tmp_path: Path) -> None:
    made = document()
    open_group_that_mixes(made)
    made[-1].opacity = 128
    with pytest.raises(UserError, match="group 'pair' has opacity, and 'shade' in it mixes"):
        read_psd(saved(made, tmp_path))


def test_dissolve_is_refused(tmp_path: Path) -> None:
    made = document()
    made.create_pixel_layer(BALL, name="sand", blend_mode=BlendMode.DISSOLVE)
    with pytest.raises(UserError, match="'sand' has the mode DISSOLVE"):
        read_psd(saved(made, tmp_path))


def test_an_adjustment_layer_is_refused(tmp_path: Path) -> None:
    made = document()
    layer = made.create_pixel_layer(BALL, name="turned around")
    layer.tagged_blocks.set_data(Tag.INVERT)
    with pytest.raises(UserError, match="'turned around' is an adjustment layer"):
        read_psd(saved(made, tmp_path))


def test_layers_that_do_not_look_like_the_preview_are_refused(tmp_path: Path) -> None:
    image, sidecar = design()
    path = tmp_path / "wrong.psd"
    Psd(FormatOptions()).write(image, sidecar, path)
    opened = PSDImage.open(path)
    opened[1][0].left += 9
    opened._record.write(path.open("wb"))  # without a new preview
    with pytest.raises(UserError, match="looks different from its own preview"):
        read_psd(path)


@pytest.mark.parametrize(("mode", "kind"), [("L", "GRAYSCALE with 8 bits"), ("CMYK", "CMYK with 8 bits")])
def test_other_colours_are_refused(mode: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "other.psd"
    PSDImage.new(mode, (8, 8)).save(path)
    with pytest.raises(UserError, match=kind):
        read_psd(path)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.psd"
    PSDImage.new("RGB", (8, 8), depth=16).save(path)
    with pytest.raises(UserError, match="RGB with 16 bits"):
        read_psd(path)


def one_line_or_the_same_picture(path: Path) -> bool:
    """Whether the file was refused. What was not refused must look as it did before it was damaged."""
    try:
        image, _ = read_psd(path)
    except UserError as error:
        return path.name in str(error) and "\n" not in str(error)
    return int(np.abs(image.whole().astype(int) - design()[0].whole()).max()) <= 2


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sample.psd"
    Psd(FormatOptions()).write(*design(), path)
    data = path.read_bytes()
    for length in range(0, len(data) // 2, len(data) // 23):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match=r"^[^\n]*sample\.psd[^\n]*$"):
            read_psd(path)
    # The file ends with the preview's coverage, which nobody looks at.
    for length in range(len(data) // 2, len(data), len(data) // 23):
        path.write_bytes(data[:length])
        assert one_line_or_the_same_picture(path)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sample.psd"
    Psd(FormatOptions()).write(*design(), path)
    data, generator = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for position in generator.integers(0, len(data), 12):
            damaged[position] = int(generator.integers(0, 256))
        path.write_bytes(damaged)
        assert one_line_or_the_same_picture(path)


def test_a_canvas_too_large_to_be_meant_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.psd"
    PSDImage.new("RGBA", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[14:22] = (29_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"canvas of 29000×29000"):
        read_psd(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.psd: No such file"):
        read_psd(tmp_path / "none.psd")


GIMP_SCRIPT = """
(let* ((image (car (gimp-image-new 64 48 RGB)))
       (ground (car (gimp-layer-new image 64 48 RGBA-IMAGE "ground" 100 LAYER-MODE-NORMAL-LEGACY)))
       (shade (car (gimp-layer-new image 40 30 RGBA-IMAGE "shade" 70 LAYER-MODE-MULTIPLY-LEGACY)))
       (glow (car (gimp-layer-new image 30 30 RGBA-IMAGE "glow" 100 LAYER-MODE-SCREEN-LEGACY))))
  (define (put layer color x y)
    (gimp-image-insert-layer image layer 0 0)
    (gimp-context-set-foreground color)
    (gimp-drawable-fill layer FILL-FOREGROUND)
    (gimp-layer-set-offsets layer x y))
  (put ground '(200 120 60) 0 0)
  (put shade '(90 200 150) -8 10)
  (put glow '(40 60 200) 25 5)
  (file-psd-save RUN-NONINTERACTIVE image ground "PSD" "PSD" 0 0)
  (file-png-save-defaults RUN-NONINTERACTIVE image (car (gimp-image-flatten image)) "PNG" "PNG"))
"""


def test_a_file_from_gimp_looks_as_it_does_there(tmp_path: Path, require: Callable[[str], None]) -> None:
    if shutil.which("gimp-console-2.10") is None:
        require("GIMP (apt-get install --no-install-recommends gimp)")
    path, picture = tmp_path / "gimp.psd", tmp_path / "gimp.png"
    script = GIMP_SCRIPT.replace("PSD", str(path)).replace("PNG", str(picture))
    command = ["gimp-console-2.10", "-n", "-i", "-d", "-f", "-b", script, "-b", "(gimp-quit 0)"]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    image, sidecar = read_psd(path)
    assert [(record.caption, record.box) for record in sidecar.layers] == [
        ("shade", (-8, 10, 32, 40)),
        ("glow", (25, 5, 55, 35)),
    ]
    assert sidecar.provenance["baked"] == "shade: opacity, multiply; glow: screen"
    with Image.open(picture) as opened:
        assert np.abs(np.array(opened.convert("RGB")).astype(int) - image.whole()).max() <= 2
