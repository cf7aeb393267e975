"""CLIP scores: the arithmetic with embeddings that are known, and the embedded CLIP on shapes anyone can draw."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from filters import clip_alignment
from filters.clip import LAYER_BACKGROUND, ClipConfig, ClipEncoder, layer_picture, shared_clip
from filters.clip_alignment import ClipAlignment, layer_alignment
from filters.config import FiltersConfig
from filters.filter import FilterInput
from layered.box import Box
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.scores import WHOLE_IMAGE
from layered.sidecar import LayerRecord, Sidecar
from tests.filters.color_clip import ColorClip
from tests.filters.drawings import SIDE, drawing

RED = drawing("disc", (220, 40, 40))


def test_the_cosine_is_that_of_picture_and_caption() -> None:
    clip = ColorClip()
    scores = layer_alignment(RED, "a red disc", clip)
    assert scores["clip_layer"] == pytest.approx(float(clip.embed_layer(RED) @ clip.embed_text("red")))
    assert scores["clip_margin"] == pytest.approx(scores["clip_layer"] - float(clip.embed_layer(RED)[1:].max()))


def test_the_margin_is_negative_for_another_ones_caption() -> None:
    assert layer_alignment(RED, "a red disc", ColorClip())["clip_margin"] > 0.5
    assert layer_alignment(RED, "a blue disc", ColorClip())["clip_margin"] < -0.5


def test_other_captions_of_the_sample_count_and_those_of_the_same_meaning_do_not() -> None:
    clip = ColorClip()
    alone = layer_alignment(RED, "a green disc", clip)["clip_margin"]
    assert layer_alignment(RED, "a green disc", clip, ["a green tree"])["clip_margin"] == alone
    purple = layer_alignment(RED, "a blue disc", clip)["clip_margin"]
    assert layer_alignment(RED, "a blue disc", clip, ["red and green"])["clip_margin"] == purple
    assert layer_alignment(RED, "a red disc", clip, ["red and blue"])["clip_margin"] < purple + 2


def sample(captions: Sequence[str], kinds: Sequence[str], whole_caption: str) -> FilterInput:
    box = (0, 0, SIDE, SIDE)
    records = tuple(
        LayerRecord.model_validate(
            {"index": n, "kind": kind, "caption": caption, "box": box, "layout_box": box, "seed": 0, "attempt": 0}
            | dict.fromkeys(("sha256", "model", "revision", "licence"), "")
        )
        for n, (caption, kind) in enumerate(zip(captions, kinds, strict=True))
    )
    sidecar = Sidecar(
        id="s1",
        canvas=(SIDE, SIDE),
        style_category="cartoon",
        whole_caption=whole_caption,
        base_caption="",
        layer_count=len(records),
        layers=records,
    )
    layers = tuple(Layer(RED, Box(*box)) for _ in records)
    return FilterInput("s1", LayeredImage(np.full((SIDE, SIDE, 3), 90, np.uint8), layers), sidecar)


def test_pictures_and_the_whole_are_scored_texts_and_nameless_layers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_alignment, "shared_clip", lambda config: ColorClip())
    item = sample(["a red disc", "the text", "", "a blue disc"], ["image", "text", "image", "image"], "a red thing")
    (result,) = ClipAlignment(ClipConfig()).score([item])
    rows = {(row.layer_index, row.name): row.score for row in result.scores}
    assert sorted(rows) == [
        (WHOLE_IMAGE, "clip_whole"),
        (0, "clip_layer"),
        (0, "clip_margin"),
        (3, "clip_layer"),
        (3, "clip_margin"),
    ]
    assert rows[0, "clip_margin"] > 0 > rows[3, "clip_margin"]
    embedding = np.frombuffer(result.features["clip_whole"], "<f2")
    np.testing.assert_allclose(embedding, ColorClip().embed_image(item.image.whole()), atol=1e-3)


def test_a_layer_is_shown_trimmed_over_gray_in_a_square_with_a_margin() -> None:
    rgba = np.zeros((60, 90, 4), np.uint8)
    rgba[10:20, 30:80] = (255, 0, 0, 255)
    picture = layer_picture(rgba)
    assert picture.shape == (58, 58, 3)
    red = (picture == (255, 0, 0)).all(axis=2)
    assert red.sum() == 500
    assert (picture[~red] == LAYER_BACKGROUND).all()
    rows, columns = np.nonzero(red)
    assert abs((rows.min() + rows.max()) / 2 - 28.5) <= 0.5
    assert abs((columns.min() + columns.max()) / 2 - 28.5) <= 0.5


def test_a_layer_of_nothing_is_plain_gray() -> None:
    assert (layer_picture(np.zeros((9, 9, 4), np.uint8)) == LAYER_BACKGROUND).all()


@pytest.fixture(scope="module")
def embedded() -> ClipEncoder:
    return shared_clip(ClipConfig())


def test_the_embedded_clip_knows_shapes_and_colours(embedded: ClipEncoder) -> None:
    thresholds = FiltersConfig().thresholds()
    for kind, shape in (("disc", "circle"), ("star", "star"), ("ring", "ring")):
        for color, rgb in (("red", (225, 45, 45)), ("blue", (40, 90, 220)), ("yellow", (250, 210, 50))):
            layer = drawing(kind, rgb, 0.8)
            right = layer_alignment(layer, f"a {color} {shape}", embedded)
            assert right["clip_layer"] > thresholds["clip_layer"]
            assert right["clip_margin"] > thresholds["clip_margin"]
            wrong = layer_alignment(layer, "a dog", embedded)
            assert wrong["clip_margin"] < thresholds["clip_margin"]


def test_embeddings_are_unit_vectors_that_depend_on_nothing_else(embedded: ClipEncoder) -> None:
    first = embedded.embed_layer(RED)
    embedded.embed_layer(drawing("star", (40, 160, 60)))
    assert (embedded.embed_layer(RED) == first).all()
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embedded.negatives, axis=1), 1, atol=1e-5)


def test_one_process_loads_one_model() -> None:
    assert shared_clip(ClipConfig()) is shared_clip(ClipConfig())


def test_negatives_may_be_given_or_left_out(embedded: ClipEncoder) -> None:
    none = ClipEncoder(ClipConfig(negatives=()))
    two = ClipEncoder(ClipConfig(negatives=("a cat", "a dog")))
    assert none.negatives.shape == (0, embedded.negatives.shape[1])
    assert two.negatives.shape == (2, embedded.negatives.shape[1])
    assert layer_alignment(RED, "a red circle", none)["clip_margin"] > 1


def test_a_clip_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*open_clip_config\.json[^\n]*$"):
        ClipEncoder(ClipConfig(model=str(tmp_path)))
