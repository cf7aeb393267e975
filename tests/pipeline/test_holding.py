"""`--hold` names parts of any finished sample, or a picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layered import LayeredImage, UserError
from layered.codec import encode_members
from layered.folder import write_layered_folder
from pipeline.holding import HoldChoice, load_held, parse_hold
from tests.shards.samples import make_sample

DESIGN, SIDECAR = make_sample(3, layers=3)
PREDICTED = np.full_like(DESIGN.base, 77)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Samples a, with a merged image, and b, without."""
    write(tmp_path / "out", "a", replace(DESIGN, merged=PREDICTED))
    write(tmp_path / "out", "b", DESIGN)
    return tmp_path / "out"


def write(folder: Path, key: str, design: LayeredImage) -> None:
    write_layered_folder(folder, key, encode_members(design, SIDECAR.model_copy(update={"id": key})))


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("out/a", HoldChoice(Path("out/a"))),
        ("out/a:0,2,background", HoldChoice(Path("out/a"), ("0", "2", "background"))),
        ("out/a:merged", HoldChoice(Path("out/a"), ("merged",))),
        ("out/a:-1,-background", HoldChoice(Path("out/a"), ("1", "background"), left_out=True)),
    ],
)
def test_parts_stand_after_the_colon(text: str, choice: HoldChoice) -> None:
    assert parse_hold(text) == choice


@pytest.mark.parametrize(("text", "says"), [("x:base", "'base' is no"), ("x:", "'' is no"), ("x:0,-1", "not both")])
def test_unknown_parts_are_refused(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_hold(text)


@pytest.mark.parametrize(
    ("parts", "background", "layers"),
    [("", True, [0, 1, 2]), (":1", False, [1]), (":-1", True, [0, 2]), (":-background", False, [0, 1, 2])],
)
def test_what_is_chosen_is_held_as_it_is(folder: Path, parts: str, background: bool, layers: list[int]) -> None:
    given = load_held(parse_hold(f"{folder / 'a'}{parts}"))
    assert given.held.merged is None
    assert (given.held.background is not None) == background
    assert list(given.held.layers) == layers
    for index in layers:
        np.testing.assert_array_equal(given.held.layers[index], DESIGN.layers[index].pixels)
        assert given.boxes[index] == DESIGN.layers[index].box
        assert given.records[index] == SIDECAR.layers[index]
    assert given.brief is not None
    assert [layer.placed_box() for layer in given.brief.layers] == [layer.box for layer in DESIGN.layers]


def test_the_merged_image_is_the_models_own_where_there_is_one(folder: Path) -> None:
    np.testing.assert_array_equal(load_held(parse_hold(f"{folder}/a:merged")).held.merged, PREDICTED)
    np.testing.assert_array_equal(load_held(parse_hold(f"{folder}/b:merged")).held.merged, DESIGN.whole())


def test_a_picture_is_held_as_the_merged_image(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(PREDICTED).save(path)
    given = load_held(parse_hold(f"{path}:merged"))
    np.testing.assert_array_equal(given.held.merged, PREDICTED)
    assert given.brief is None
    with pytest.raises(UserError, match="as the merged image only"):
        load_held(parse_hold(f"{path}:0"))


def test_one_sample_needs_no_name(folder: Path) -> None:
    for file in folder.glob("b.*"):
        file.unlink()
    assert load_held(parse_hold(str(folder))).held.background is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("out", "holds 2 samples: name one of them, such as .*out/a"),
        ("out/c", "has no sample c; the nearest are"),
        ("nowhere/a", "there is no .*nowhere"),
        ("out/a:3", "layers 0…2, so there is no 3"),
        ("out/a:-3", "layers 0…2, so there is no 3"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_held(parse_hold(str(folder.parent / text)))
