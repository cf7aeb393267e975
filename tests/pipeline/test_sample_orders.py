"""Options become requests: text layers are drawn and held, held layers keep their places."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from layered import Box, UserError
from layered.codec import encode_members
from layered.folder import write_layered_folder
from pipeline.sample_orders import SampleOptions, read_orders
from tests.shards.samples import CANVAS, make_sample

DESIGNED = (128, 128)
DESIGN, SIDECAR = make_sample(3, layers=2)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """One brief: a picture below a text that leaves room in its box."""
    text = {"kind": "text", "caption": None, "box": [4, 60, 124, 124], "text": "Hi", "font": "DejaVu Sans:bold"}
    layers: list[dict[str, Any]] = [{"caption": "a pear", "box": [0, 0, 40, 40]}, text]
    brief = {"id": "greeting", "canvas": [128, 128], "style": "", "base_caption": "", "layers": layers}
    path = tmp_path / "brief.json"
    path.write_text(json.dumps(brief | {"whole_caption": "a pear says hi"}, indent=1))
    return path


@pytest.fixture
def sample(tmp_path: Path) -> str:
    write_layered_folder(tmp_path / "out", SIDECAR.id, encode_members(DESIGN, SIDECAR))
    return str(tmp_path / "out" / SIDECAR.id)


def test_text_layers_are_drawn_and_held_where_they_stand(layout: Path) -> None:
    (order,) = read_orders(SampleOptions(layout=layout, seed=5), DESIGNED)
    request = order.request
    assert (request.sample_id, request.prompt, request.seed) == ("greeting", "a pear says hi", 5)
    assert list(request.held.layers) == [1]
    assert request.layout.boxes[0] == Box(0, 0, 40, 40)
    placed, wanted = request.layout.boxes[1], Box(4, 60, 124, 124)
    assert wanted.contains(placed)
    assert placed != wanted
    assert order.records[1].model == "font"
    assert order.records[1].text == "Hi"
    assert order.records[1].box == placed.as_tuple()
    assert order.records[1].layout_box == wanted.as_tuple()


def test_samples_of_a_layout_differ_by_their_ids_alone(layout: Path) -> None:
    orders = read_orders(SampleOptions(layout=layout, samples=2), DESIGNED)
    assert [order.request.sample_id for order in orders] == ["greeting-00", "greeting-01"]
    assert orders[0].request.layout == orders[1].request.layout


def test_without_a_layout_the_designer_draws_boxes() -> None:
    orders = read_orders(SampleOptions(prompt="two cats", layers=3, samples=2), DESIGNED)
    assert [order.request.sample_id for order in orders] == ["sample-00", "sample-01"]
    assert all(order.request.prompt == "two cats" and len(order.request.layout.boxes) == 3 for order in orders)
    assert orders[0].request.layout != orders[1].request.layout
    (own,) = read_orders(SampleOptions(), DESIGNED)
    assert own.request.prompt


def test_a_prompt_and_a_side_go_over_the_brief(layout: Path) -> None:
    (order,) = read_orders(SampleOptions(prompt="two cats", layout=layout, side=64), DESIGNED)
    assert order.request.prompt == "two cats"
    assert (order.brief.style, order.brief.base_caption) == ("", "")
    assert order.request.layout.canvas == (64, 64)
    assert order.request.layout.boxes[0] == Box(0, 0, 20, 20)


def test_an_added_layer_leaves_all_others_as_they_are(sample: str) -> None:
    (order,) = read_orders(SampleOptions(hold=sample, add=("1,1,9,9",)), DESIGNED)
    request = order.request
    assert request.prompt == SIDECAR.whole_caption
    assert request.layout.boxes == (*(layer.box for layer in DESIGN.layers), Box(1, 1, 9, 9))
    np.testing.assert_array_equal(request.held.background, DESIGN.base)
    assert [request.held.layers[index] is not None for index in (0, 1)] == [True, True]
    assert dict(order.records) == dict(enumerate(SIDECAR.layers))
    assert order.brief.base_caption == SIDECAR.base_caption


def test_a_layout_beside_a_held_sample_gives_the_other_boxes(sample: str, tmp_path: Path) -> None:
    brief = {"id": "new", "canvas": list(CANVAS), "style": "", "base_caption": "", "whole_caption": "things"}
    layers = [{"box": [0, 0, 5, 5]}, {"box": [2, 2, 9, 9]}]
    path = tmp_path / "layout.json"
    path.write_text(json.dumps(brief | {"layers": layers}))
    (order,) = read_orders(SampleOptions(layout=path, hold=f"{sample}:1"), DESIGNED)
    assert order.request.layout.boxes == (Box(0, 0, 5, 5), DESIGN.layers[1].box)
    path.write_text(json.dumps(brief | {"layers": layers[:1]}))
    with pytest.raises(UserError, match=r"layer 1 cannot be held: the layout has layers 0…0"):
        read_orders(SampleOptions(layout=path, hold=f"{sample}:1"), DESIGNED)
    path.write_text(json.dumps(brief | {"layers": layers, "canvas": [64, 64]}))
    with pytest.raises(UserError, match=r"its canvas \[64, 64\] is not the held sample's, \[30, 20\]"):
        read_orders(SampleOptions(layout=path, hold=f"{sample}:1"), DESIGNED)


def test_a_picture_is_taken_apart_into_the_boxes_of_a_layout(layout: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (128, 128), "red").save(picture)
    (order,) = read_orders(SampleOptions(layout=layout, hold=str(picture)), DESIGNED)
    assert order.request.held.merged is not None
    assert order.request.held.background is None
    with pytest.raises(UserError, match="with a picture needs --layout"):
        read_orders(SampleOptions(hold=str(picture)), DESIGNED)


def test_options_that_contradict_each_other_are_refused(layout: Path, sample: str) -> None:
    with pytest.raises(UserError, match="leave one of them out"):
        read_orders(SampleOptions(hold=sample, side=64), DESIGNED)
    with pytest.raises(UserError, match="--layers is for the designer"):
        read_orders(SampleOptions(layout=layout, layers=3), DESIGNED)
    with pytest.raises(UserError, match="greeting: the prompt is empty"):
        read_orders(SampleOptions(layout=layout, prompt=" "), DESIGNED)


def test_a_text_that_cannot_be_drawn_is_named(layout: Path) -> None:
    layout.write_text(layout.read_text().replace('"Hi"', '"Hi there"'))
    with pytest.raises(UserError, match=r"greeting: layer 1: .*too small for the text"):
        read_orders(SampleOptions(layout=layout, side=16), DESIGNED)
