import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layered import Box, Layer, LayeredImage, LayerRecord, Sidecar, UserError
from layered.codec import decode_members, encode_members, layer_member, sample_key
from layered.folder import read_layered_folder, write_layered_folder
from layered.png import decode_png, encode_png
from tests.layered.strategies import tidy_pictures


def sample_of(pictures: list[tuple[np.ndarray, int, int]], merged: bool = False) -> tuple[LayeredImage, Sidecar]:
    """A design of the given pictures at the given corners, with a complete sidecar."""
    layers = tuple(Layer(rgba, Box(x, y, x + rgba.shape[1], y + rgba.shape[0])) for rgba, x, y in pictures)
    base = np.random.default_rng(len(pictures)).integers(0, 256, (20, 30, 3), np.uint8)
    records = tuple(
        LayerRecord(
            index=index,
            kind="image",
            caption=f"thing {index} “ü”",
            box=layer.box.as_list(),
            layout_box=layer.box.as_list(),
            seed=2**62 + index,
            attempt=0,
            sha256=hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
            model="m",
            revision="r",
            licence="l",
        )
        for index, layer in enumerate(layers)
    )
    sidecar = Sidecar(
        id="s0000007",
        canvas=(30, 20),
        style_category="flat",
        whole_caption="two things",
        base_caption="a beach",
        layer_count=len(layers),
        layers=records,
    )
    return LayeredImage(base, layers, base if merged else None), sidecar


placed_pictures = st.lists(st.tuples(tidy_pictures(8), st.integers(-5, 30), st.integers(-5, 20)), max_size=4)


@settings(max_examples=40)
@given(placed_pictures, st.booleans())
def test_a_sample_survives_encoding_and_decoding(pictures: list[tuple[np.ndarray, int, int]], merged: bool) -> None:
    image, sidecar = sample_of(pictures, merged)
    members = encode_members(image, sidecar)
    assert list(members) == sorted(members)
    decoded, decoded_sidecar = decode_members(members)
    assert decoded_sidecar == sidecar
    assert np.array_equal(decoded.base, image.base)
    assert (decoded.merged is None) == (image.merged is None)
    for ours, theirs in zip(decoded.layers, image.layers, strict=True):
        assert ours.box == theirs.box
        assert np.array_equal(ours.pixels, theirs.pixels)
    assert np.array_equal(decode_png(members["whole_image.png"]), image.whole())
    assert encode_members(decoded, decoded_sidecar) == members


def test_the_sidecar_has_constant_types_and_no_null() -> None:
    image, sidecar = sample_of([(np.full((2, 2, 4), 255, np.uint8), 0, 0)])
    document = json.loads(encode_members(image, sidecar)["json"])
    assert document["schema"] == 1
    assert document["layers"][0]["text"] == ""
    assert "null" not in encode_members(image, sidecar)["json"].decode()


def test_a_missing_a_broken_and_a_contradicting_member_are_named() -> None:
    image, sidecar = sample_of([(np.full((2, 2, 4), 255, np.uint8), 0, 0)])
    members = encode_members(image, sidecar)
    with pytest.raises(ValueError, match=r"layer_00\.png is missing"):
        decode_members({name: data for name, data in members.items() if name != "layer_00.png"})
    with pytest.raises(ValueError, match=r"layer_00\.png: not a complete PNG"):
        decode_members(members | {"layer_00.png": b"\x89PNG"})
    with pytest.raises(ValueError, match=r"layer_00\.png: pixels of shape"):
        decode_members(members | {"layer_00.png": encode_png(np.zeros((3, 3, 4), np.uint8))})
    with pytest.raises(ValueError, match="does not have schema 1"):
        decode_members(members | {"json": b"{}"})


@pytest.mark.parametrize("sample_id", ["a.b", "A", "", "a/b", "ä"])
def test_ids_that_would_break_a_tar_reader_are_refused(sample_id: str) -> None:
    with pytest.raises(ValueError, match="may hold lower-case letters"):
        sample_key(sample_id)


def test_layer_names_sort_in_z_order() -> None:
    names = [layer_member(index) for index in range(100)]
    assert names == sorted(names)
    with pytest.raises(ValueError, match="not in 0…99"):
        layer_member(100)


def test_a_layered_folder_holds_several_samples(tmp_path: Path) -> None:
    members = encode_members(*sample_of([(np.full((2, 2, 4), 9, np.uint8), 1, 1)]))
    write_layered_folder(tmp_path / "out", "a", members)
    write_layered_folder(tmp_path / "out", "a-b", members)
    assert read_layered_folder(tmp_path / "out") == {"a": members, "a-b": members}


def test_a_folder_without_samples_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no layered image"):
        read_layered_folder(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        read_layered_folder(tmp_path / "nowhere")
