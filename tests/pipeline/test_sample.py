"""`layerprism sample` from the command line, with a random model: files, sidecars, held parts and clear errors."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from layered import LayeredImage, Sidecar, UserError
from layered.codec import decode_members
from layered.folder import read_layered_folder
from layered.png import encode_png
from pipeline.cli import app
from pipeline.sample import CONTACT_SHEET
from tests.art_model.random_art import random_art

BRIEF = {
    "id": "fruit",
    "canvas": [64, 48],
    "style": "flat",
    "whole_caption": "a pear on a table",
    "base_caption": "a table",
    "layers": [
        {"caption": "a pear", "box": [4, 4, 40, 40]},
        {"caption": None, "box": [-8, 10, 30, 44]},
        {"kind": "text", "caption": None, "box": [10, 26, 60, 46], "text": "Hi"},
    ],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_art(tmp_path_factory.mktemp("model"))


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    path = tmp_path / "brief.json"
    path.write_text(json.dumps(BRIEF))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


def drawn(model: Path, out: Path, *arguments: object) -> dict[str, tuple[LayeredImage, Sidecar]]:
    """Runs the command, which must succeed, and reads what it wrote."""
    result = run("--model", model, "--out", out, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return {key: decode_members(members) for key, members in read_layered_folder(out).items()}


def test_a_brief_becomes_a_layered_folder(model: Path, brief: Path, tmp_path: Path) -> None:
    designs = drawn(model, tmp_path / "out", "--layout", brief, "--samples", 2, "--steps", 2)
    assert list(designs) == ["fruit-00", "fruit-01"]
    for key, (image, sidecar) in designs.items():
        assert image.canvas == (64, 48)
        assert image.merged is not None
        assert [layer.kind for layer in sidecar.layers] == ["image", "image", "text"]
        assert sidecar.layers[1].box == (-8, 10, 30, 44)
        assert (tmp_path / "out" / f"{key}.merged_image.png").is_file()
        for layer, record in zip(image.layers, sidecar.layers, strict=True):
            assert record.sha256 == hashlib.sha256(encode_png(layer.pixels)).hexdigest()
            assert record.layout_box == tuple(BRIEF["layers"][record.index]["box"])  # type: ignore[index]
        assert (sidecar.layers[0].model, sidecar.layers[0].licence) == ("random", "MIT")
        assert (sidecar.layers[2].model, sidecar.layers[2].text) == ("font", "Hi")
        assert [layer.caption for layer in sidecar.layers] == ["", "", 'the text "Hi"']
        assert sidecar.base_caption == ""
        assert sidecar.provenance["base_model"] == "random"
        assert sidecar.provenance["held"] == "2"
        assert sidecar.provenance["sampler_steps"] == "2"
    assert not np.array_equal(designs["fruit-00"][0].base, designs["fruit-01"][0].base)
    with Image.open(tmp_path / "out" / CONTACT_SHEET) as sheet:
        assert sheet.width > 328
        assert sheet.height > 96


def test_the_same_command_draws_the_same_bytes(model: Path, brief: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        drawn(model, tmp_path / name, "--layout", brief, "--seed", 3)
    files = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "other").iterdir()}


def test_a_prompt_alone_takes_boxes_of_the_designer(model: Path, tmp_path: Path) -> None:
    ((image, sidecar),) = drawn(model, tmp_path / "out", "--prompt", "two red foxes", "--layers", 3).values()
    assert image.canvas == (64, 64)
    assert len(image.layers) == 3
    assert sidecar.whole_caption == "two red foxes"


def test_a_layer_is_edited_and_another_added(model: Path, brief: Path, tmp_path: Path) -> None:
    ((first, of_first),) = drawn(model, tmp_path / "first", "--layout", brief).values()
    hold = f"{tmp_path / 'first'}/fruit"
    ((edited, _),) = drawn(model, tmp_path / "edited", "--hold", f"{hold}:-1", "--seed", 9).values()
    ((added, of_added),) = drawn(model, tmp_path / "added", "--hold", hold, "--add", "1,1,30,30").values()
    for index in (0, 2):
        np.testing.assert_array_equal(edited.layers[index].pixels, first.layers[index].pixels)
    np.testing.assert_array_equal(edited.base, first.base)
    assert not np.array_equal(edited.layers[1].pixels, first.layers[1].pixels)
    assert len(added.layers) == 4
    for mine, yours in zip(added.layers, first.layers, strict=False):
        np.testing.assert_array_equal(mine.pixels, yours.pixels)
    assert of_added.layers[:3] == of_first.layers
    assert of_added.provenance["held"] == "background,0,1,2"
    assert of_added.provenance["base_seed"] == of_first.provenance["base_seed"]


def test_a_picture_is_taken_apart(model: Path, brief: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    arguments = ("--layout", brief, "--hold", tmp_path / "picture.png")
    ((image, sidecar),) = drawn(model, tmp_path / "out", *arguments).values()
    np.testing.assert_array_equal(image.merged, picture)
    assert sidecar.provenance["held"] == "merged,2"


def test_unknown_words_and_unlearned_sizes_are_warned_of(model: Path, tmp_path: Path) -> None:
    layout = tmp_path / "large.json"
    layout.write_text(json.dumps({**BRIEF, "canvas": [128, 48]}))
    result = run("--model", model, "--layout", layout, "--prompt", "a zebroid", "--steps", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "warning: random does not know: zebroid" in result.output
    assert "warning: a canvas has 128 pixels, but the model learned up to 96: --side 96 scales" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "nowhere"], "nowhere does not exist: give the folder of an ART model"),
        (["--preset", "paper"], "no preset 'paper'"),
        (["--guidance", "4"], "no guidance embedding"),
        (["--device", "tpu9"], "no device 'tpu9'"),
        (["--layout", "nowhere.json"], "cannot read a layout from nowhere.json"),
        (["--hold", "nowhere/x"], "there is no nowhere"),
        (["--prompt", "apple " * 50], "tokens, but the model reads 40"),
        (["--layers", "0"], "not in 1…99"),
    ],
)
def test_wrong_input_is_one_line(model: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    result = run("--model", model, "--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)


def test_designs_are_not_overwritten(model: Path, brief: Path, tmp_path: Path) -> None:
    drawn(model, tmp_path / "out", "--layout", brief, "--steps", 1)
    result = run("--model", model, "--layout", brief, "--out", tmp_path / "out")
    assert "holds fruit already: give another --out" in str(result.exception)
