"""MultiLayerFLUX: where layers land, what is recorded, and which layer is blamed."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layered.arrays import UInt8Array
from layered.box import Box
from layered.brief import Brief, BriefLayer
from layered.codec import decode_members, encode_members
from layered.compositing import composite
from layered.pixels import resize_rgb
from stages.multi_layer_flux import ComposeConfig, MultiLayerFlux, cover
from stages.records import CheckedLayer, Composed, Composition, Draw, Drawn, Matted, TextDraw, TextLayer
from stages.stage import Failed

STAGE = MultiLayerFlux(ComposeConfig())


def block(width: int, height: int, margin: int = 10) -> UInt8Array:
    """An opaque red rectangle inside a transparent margin."""
    rgba = np.zeros((height + 2 * margin, width + 2 * margin, 4), np.uint8)
    rgba[margin:-margin, margin:-margin] = (200, 30, 30, 255)
    return rgba


def matted(index: int, rgba: UInt8Array, attempt: int = 0) -> Matted:
    draw = Draw("s1", index, attempt, 1000 + index, "a prompt", f"thing {index}", (8, 8))
    drawn = Drawn(draw, np.full((8, 8, 3), index, np.uint8), (4, 8, 8), "model", "rev", "licence")
    return Matted(drawn, rgba, (128, 128, 128))


def composition(
    layers: list[Matted | TextLayer], boxes: list[tuple[int, int, int, int]], canvas: tuple[int, int] = (100, 80)
) -> Composition:
    wanted = []
    for layer, box in zip(layers, boxes, strict=True):
        if isinstance(layer, TextLayer):
            wanted.append(BriefLayer(kind="text", box=box, text=layer.request.text))
        else:
            wanted.append(BriefLayer(caption=layer.drawn.draw.caption, box=box))
    brief = Brief(id="b", canvas=canvas, style="cartoon", whole_caption="w", base_caption="base", layers=tuple(wanted))
    base = Drawn(
        Draw("s1", -1, 0, 77, "", "base", (20, 20)),
        np.full((20, 20, 3), (10, 120, 200), np.uint8),
        (2, 20, 20),
        "base model",
        "base rev",
        "base licence",
    )
    checks = tuple(
        CheckedLayer(layer.drawn.draw, {"clip_layer": 0.123456789}, True, 0.9)
        for layer in layers
        if isinstance(layer, Matted)
    )
    return Composition("s1", brief, base, tuple(layers), checks, {"brief": "b", "split": "train"})


def compose(item: Composition) -> Composed:
    (result,) = STAGE.process([item])
    assert isinstance(result, Composed), result
    return result


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(4, 90), st.integers(4, 90)),
    origin=st.tuples(st.integers(-40, 80), st.integers(-40, 60)),
    box=st.tuples(st.integers(8, 120), st.integers(8, 120)),
)
def test_a_layer_fills_its_box_in_one_direction_with_its_aspect_kept(
    size: tuple[int, int], origin: tuple[int, int], box: tuple[int, int]
) -> None:
    wanted = Box(*origin, origin[0] + box[0], origin[1] + box[1])
    if wanted.intersection(Box(0, 0, 100, 80)) is None:
        return
    image = compose(composition([matted(0, block(*size))], [wanted.as_tuple()])).image
    placed = image.layers[0].box
    assert wanted.contains(placed)
    assert max(placed.width / wanted.width, placed.height / wanted.height) > 1 - 1.5 / min(wanted.size)
    scale = min(box[0] / size[0], box[1] / size[1])
    assert abs(placed.width - size[0] * scale) <= 1
    assert abs(placed.height - size[1] * scale) <= 1
    assert abs(placed.center[0] - wanted.center[0]) <= 1
    assert abs(placed.center[1] - wanted.center[1]) <= 1


def test_what_overflows_the_canvas_stays_in_the_layer() -> None:
    made = compose(composition([matted(0, block(40, 40))], [(-20, -20, 40, 40)]))
    layer = made.image.layers[0]
    assert layer.box == Box(-20, -20, 40, 40)
    assert layer.pixels.shape == (60, 60, 4)
    assert (layer.pixels[0, 0] == (200, 30, 30, 255)).all()
    assert (made.image.whole()[0, 0] == (200, 30, 30)).all()


def test_the_later_layer_is_above() -> None:
    below, above = block(30, 30), block(30, 30)
    above[above[..., 3] > 0, :3] = (0, 255, 0)
    made = compose(composition([matted(0, below), matted(1, above)], [(10, 10, 40, 40), (25, 10, 55, 40)]))
    whole = made.image.whole()
    assert (whole[20, 30] == (0, 255, 0)).all()
    assert (whole[20, 15] == (200, 30, 30)).all()
    assert (whole == composite(made.image.base, [(each.pixels, each.box) for each in made.image.layers])).all()


def test_a_faint_rim_does_not_count_as_the_object() -> None:
    hazy = block(30, 30)
    hazy[hazy[..., 3] == 0] = (128, 128, 128, 6)
    made = compose(composition([matted(0, hazy)], [(10, 10, 70, 70)]))
    assert made.image.layers[0].box == Box(10, 10, 70, 70)
    assert (made.image.layers[0].pixels[0, 0] == (200, 30, 30, 255)).all()


def test_a_text_keeps_its_pixels_and_stands_in_the_middle() -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (11, 31, 4), dtype=np.uint8)
    request = TextDraw("s1", 0, "Hi", "DejaVu Sans", "#00ff00", Box(10, 10, 60, 40))
    made = compose(composition([TextLayer(request, pixels)], [(10, 10, 60, 40)]))
    assert (made.image.layers[0].pixels == pixels).all()
    assert made.image.layers[0].box == Box(19, 19, 50, 30)
    record = made.sidecar.layers[0]
    assert (record.kind, record.text, record.font, record.color) == ("text", "Hi", "DejaVu Sans", "#00ff00")
    assert record.caption == 'the text "Hi"'


@given(size=st.tuples(st.integers(8, 60), st.integers(8, 60)), canvas=st.tuples(st.integers(8, 80), st.integers(8, 80)))
def test_the_base_covers_the_canvas_and_is_not_squeezed(size: tuple[int, int], canvas: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    covered = cover(rgb, canvas)
    assert covered.shape == (canvas[1], canvas[0], 3)
    scale = max(canvas[0] / size[0], canvas[1] / size[1])
    whole = resize_rgb(rgb, (max(canvas[0], round(size[0] * scale)), max(canvas[1], round(size[1] * scale))))
    left, top = (whole.shape[1] - canvas[0]) // 2, (whole.shape[0] - canvas[1]) // 2
    assert (covered == whole[top : top + canvas[1], left : left + canvas[0]]).all()
    assert canvas[0] == whole.shape[1] or canvas[1] == whole.shape[0]


def test_everything_is_recorded() -> None:
    item = composition(
        [matted(0, block(30, 20)), matted(1, block(9, 9), attempt=2)], [(0, 0, 40, 40), (50, 50, 90, 90)]
    )
    made = compose(item)
    members = encode_members(made.image, made.sidecar)
    image, sidecar = decode_members(members)
    assert sidecar == made.sidecar
    assert (image.whole() == made.image.whole()).all()
    record = sidecar.layers[1]
    assert record.sha256 == hashlib.sha256(members["layer_01.png"]).hexdigest()
    assert (record.seed, record.attempt, record.caption) == (1001, 2, "thing 1")
    assert (record.model, record.revision, record.licence) == ("model", "rev", "licence")
    assert record.layout_box == (50, 50, 90, 90)
    assert record.placed_box() == image.layers[1].box
    assert sidecar.canvas == (100, 80)
    assert sidecar.provenance["base_model"] == "base model"
    assert sidecar.provenance["base_seed"] == "77"
    assert sidecar.provenance["split"] == "train"
    attempts = json.loads(sidecar.provenance["attempts"])
    assert [(row["layer"], row["attempt"], row["seed"]) for row in attempts] == [(0, 0, 1000), (1, 2, 1001)]
    assert attempts[0]["scores"] == {"clip_layer": 0.123457}


def test_raws_and_batch_shapes_come_along() -> None:
    request = TextDraw("s1", 1, "Hi", "DejaVu Sans", "#00ff00", Box(10, 10, 60, 40))
    text = TextLayer(request, block(9, 9)[10:-10, 10:-10])
    made = compose(composition([matted(0, block(9, 9)), text], [(0, 0, 20, 20), (10, 10, 60, 40)]))
    assert sorted(made.raws) == [-1, 0]
    assert (made.raws[0] == 0).all()
    assert made.batch_shapes == {-1: (2, 20, 20), 0: (4, 8, 8)}


def test_composed_again_a_sample_keeps_how_it_was_drawn() -> None:
    first = compose(composition([matted(0, block(9, 9))], [(0, 0, 20, 20)]))
    item = composition([matted(0, block(9, 9))], [(0, 0, 20, 20)])
    again = Composition(item.sample_id, item.brief, item.base, item.layers, (), first.sidecar.provenance)
    assert compose(again).sidecar == first.sidecar


@pytest.mark.parametrize("alpha", [0, 9])
def test_an_empty_layer_fails_its_sample_by_name(alpha: int) -> None:
    empty = np.full((20, 20, 4), alpha, np.uint8)
    good = composition([matted(0, block(9, 9))], [(0, 0, 20, 20)])
    bad = composition([matted(0, block(9, 9)), matted(1, empty)], [(0, 0, 20, 20), (0, 0, 20, 20)])
    first, second = STAGE.process([good, bad])
    assert isinstance(first, Composed)
    assert isinstance(second, Failed)
    assert second.stage == "multi_layer_flux"
    assert "layer 1 ('thing 1')" in second.error
