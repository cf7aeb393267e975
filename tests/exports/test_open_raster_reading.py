"""OpenRaster files made elsewhere: baked to look like their merged image, or refused by name; hostile ones too."""

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyora import Project

from exports.formats import FormatOptions
from exports.open_raster import OpenRaster
from exports.open_raster_reading import read_open_raster
from layered import UserError
from layered.compositing import over_color
from layered.png import encode_png
from tests.exports.designs import blob, design

WHITE = (255, 255, 255)
MODES = [
    "multiply", "screen", "overlay", "darken", "lighten", "color-dodge", "color-burn", "hard-light", "soft-light",
    "difference", "color", "luminosity", "hue", "saturation",
]  # fmt: skip


def archive_of(stack: str, files: dict[str, bytes], path: Path, mimetype: bytes = b"image/openraster") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", mimetype)
        archive.writestr("stack.xml", f'<image w="48" h="48"><stack>{stack}</stack></image>')
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def pictures(opaque: bool = True) -> dict[str, bytes]:
    ramp = np.zeros((48, 48, 4), np.uint8)
    ramp[..., 0] = np.arange(48) * 5
    ramp[..., 1] = 90
    ramp[..., 2] = np.arange(48)[:, None] * 4
    ramp[..., 3] = 255 if opaque else 120
    return {
        "data/ground.png": encode_png(ramp),
        "data/ball.png": encode_png(blob((30, 30), (210, 130, 40), 0.8)),
        "data/shade.png": encode_png(blob((36, 20), (90, 160, 210), 0.7)),
    }


GROUND = '<layer name="ground" src="data/ground.png"/>'
BALL = '<layer name="ball" src="data/ball.png" x="-6" y="8" opacity="0.7"/>'


def difference(path: Path) -> int:
    """Between what another program makes of the layers, on white, and the whole image of what is read."""
    copy = path.with_name("copy.ora")
    copy.write_bytes(path.read_bytes())
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr("mergedimage.png", encode_png(np.zeros((48, 48, 4), np.uint8)))  # must be there to be loaded
    rendered = Project.load(str(copy)).get_image_data(use_original=False)
    image, _ = read_open_raster(path)
    return int(np.abs(over_color(np.array(rendered.convert("RGBA")), WHITE).astype(int) - image.whole()).max())


@pytest.mark.parametrize("mode", MODES)
def test_a_blend_mode_is_baked_as_psd_tools_mixes_it(mode: str, tmp_path: Path) -> None:
    shade = f'<layer name="shade" src="data/shade.png" x="8" y="10" composite-op="svg:{mode}"/>'
    path = archive_of(shade + BALL + GROUND, pictures(), tmp_path / "a.ora")
    image, sidecar = read_open_raster(path)
    assert [record.caption for record in sidecar.layers] == ["ball", "shade"]
    assert sidecar.provenance["baked"] == f"ball: opacity; shade: {mode}"
    assert sidecar.provenance["caption_source"] == "layer names"
    plain = archive_of(shade.replace(mode, "src-over") + BALL + GROUND, pictures(), tmp_path / "b.ora")
    assert not np.array_equal(image.whole(), read_open_raster(plain)[0].whole())


@pytest.mark.parametrize("mode", ["multiply", "screen", "overlay", "darken", "lighten", "difference", "hard-light"])
@pytest.mark.parametrize("opaque", [True, False])
def test_baked_layers_look_as_another_reader_draws_them(mode: str, opaque: bool, tmp_path: Path) -> None:
    shade = f'<layer name="shade" src="data/shade.png" x="8" y="10" composite-op="svg:{mode}"/>'
    assert difference(archive_of(shade + BALL + GROUND, pictures(opaque), tmp_path / "a.ora")) <= 2


def test_a_half_transparent_group_becomes_one_layer(tmp_path: Path) -> None:
    shade = '<layer name="shade" src="data/shade.png" x="8" y="10"/>'
    group = f'<stack name="pair" opacity="0.5">{shade}{BALL}</stack>'
    path = archive_of(group + GROUND, pictures(), tmp_path / "a.ora")
    assert difference(path) <= 2
    assert [record.caption for record in read_open_raster(path)[1].layers] == ["pair"]


def test_a_plain_group_is_taken_apart_and_hidden_layers_go(tmp_path: Path) -> None:
    hidden = '<layer name="hidden" src="data/shade.png" visibility="hidden"/>'
    group = f'<stack name="pair">{hidden}<stack>{BALL}</stack></stack>'
    image, sidecar = read_open_raster(archive_of(group + GROUND, pictures(), tmp_path / "Some File.ora"))
    assert [record.caption for record in sidecar.layers] == ["ball"]
    assert image.layers[0].box.as_list() == [-6, 8, 24, 38]
    assert (sidecar.id, sidecar.base_caption, sidecar.whole_caption) == ("some-file", "ground", "ground, ball")


def stack(content: str) -> Callable[[Path], Path]:
    return lambda path: archive_of(content, pictures(), path)


def bomb(path: Path) -> Path:
    """Thirty terabytes, says the directory of the zip."""
    archive_of(GROUND, pictures(), path)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = b"\xf0\xff\xff\xff"
    path.write_bytes(data)
    return path


def huge_picture(path: Path) -> Path:
    header = bytearray(encode_png(np.zeros((1, 1, 4), np.uint8)))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    return archive_of(GROUND, {"data/ground.png": bytes(header)}, path)


def entities(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "image/openraster")
        archive.writestr("stack.xml", '<!DOCTYPE a [<!ENTITY b "c">]><image w="1" h="1"><stack/></image>')
    return path


def deep(path: Path) -> Path:
    return archive_of("<stack>" * 5000 + "</stack>" * 5000, {}, path)


def not_a_zip(path: Path) -> Path:
    path.write_bytes(b"PK not really")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (stack('<layer name="out" src="../../etc/passwd"/>'), "lacks the file ../../etc/passwd"),
        (stack('<layer name="cut" src="data/ball.png" composite-op="svg:dst-in"/>'), "'cut' has the mode svg:dst-in"),
        (stack('<stack name="moved" x="3"/>'), "group 'moved' is moved"),
        (stack('<text name="words"/>'), "has a <text>"),
        (stack('<layer name="nothing"/>'), "not an OpenRaster file that can be read"),
        (lambda path: archive_of(GROUND, {"data/ground.png": b"PNG?"}, path), "is not a PNG"),
        (lambda path: archive_of("", {}, path, b"application/zip"), "its mimetype is another one"),
        (lambda path: archive_of("<stack>", {}, path), "not an OpenRaster file that can be read"),
        (bomb, "unpacks to 42949"),
        (huge_picture, "pixels"),
        (entities, "declares XML entities"),
        (deep, "not an OpenRaster file that can be read"),
        (not_a_zip, "not an OpenRaster file that can be read"),
        (lambda path: path, "cannot read"),
    ],
)
def test_what_cannot_be_read_is_one_line(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as raised:
        read_open_raster(make(tmp_path / "odd.ora"))
    assert message in str(raised.value)
    assert "odd.ora" in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] in ([], ["odd.ora"])


def test_a_truncated_or_damaged_file_is_one_line_or_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "sample.ora"
    OpenRaster(FormatOptions()).write(*design(), path)
    data, generator = path.read_bytes(), np.random.default_rng(2)
    damaged = [data[:length] for length in range(0, len(data), len(data) // 11)]
    for _ in range(40):
        changed = bytearray(data)
        for position in generator.integers(0, len(data), 6):
            changed[position] = int(generator.integers(0, 256))
        damaged.append(bytes(changed))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            image, _ = read_open_raster(path)
        except UserError as error:
            refused += "\n" not in str(error)
        else:
            refused += int(np.abs(image.whole().astype(int) - design()[0].whole()).max()) <= 2
    assert refused == len(damaged)


def test_a_merged_image_of_something_else_is_refused(tmp_path: Path) -> None:
    files = {**pictures(), "mergedimage.png": encode_png(np.zeros((48, 48, 3), np.uint8))}
    with pytest.raises(UserError, match="looks different from its own preview"):
        read_open_raster(archive_of(BALL + GROUND, files, tmp_path / "a.ora"))


def test_a_gray_layer_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 48), 77, np.uint8)).save(buffer, format="PNG")
    image, _ = read_open_raster(archive_of(GROUND, {"data/ground.png": buffer.getvalue()}, tmp_path / "a.ora"))
    assert (image.base == 77).all()
