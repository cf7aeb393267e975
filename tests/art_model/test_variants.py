"""Variants: other designs from the same layers, recomposed exactly and captioned by what is there."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from art_model.variants import PromptParts, Variant, VariantConfig, variant_of
from layered import Box, LayeredImage, Sidecar
from layered.compositing import composite
from tests.art_model.tiny_publication import COLORS, disc, make_design, make_sidecar


def only(change: str) -> VariantConfig:
    return VariantConfig(count=9, **{name: float(name == change) for name in ("drop", "move", "group")})


def variants(image: LayeredImage, sidecar: Sidecar, config: VariantConfig, count: int = 12) -> list[Variant]:
    made = [variant_of(image, sidecar, number, config, seed=3) for number in range(1, count)]
    return [variant for variant in made if variant is not None]


def row_of_discs(*boxes: Box) -> tuple[LayeredImage, Sidecar]:
    """Discs of different colours on an even ground of 96 × 64."""
    layers = [disc(name, box) for name, box in zip(COLORS, boxes, strict=False)]
    captions = [f"a {name} circle" for name in list(COLORS)[: len(boxes)]]
    base = np.full((64, 96, 3), 128, np.uint8)
    return LayeredImage(base, tuple(layers)), make_sidecar("s0000001", (96, 64), layers, captions)


def as_composited(variant: Variant) -> np.ndarray[Any, Any]:
    return composite(variant.image.base, [(layer.pixels, layer.box) for layer in variant.image.layers])


@given(number=st.integers(0, 10_000), layers=st.integers(1, 4), variant=st.integers(0, 50), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_variant_is_pure_and_its_whole_is_what_its_layers_make(
    number: int, layers: int, variant: int, seed: int
) -> None:
    image, sidecar = make_design(number, layers)
    config = VariantConfig(count=51, drop=0.5, move=0.5, group=0.5)
    made = variant_of(image, sidecar, variant, config, seed=seed)
    again = variant_of(image, sidecar, variant, config, seed=seed)
    if made is None or again is None:
        assert made is again is None
        assert variant > 0
        return
    assert np.array_equal(made.image.whole(), again.image.whole())
    assert (made.prompt, made.kinds, made.changes) == (again.prompt, again.kinds, again.changes)
    assert len(made.image.layers) == len(made.kinds) == len(made.parts.layers) >= 1
    assert np.abs(made.image.whole().astype(int) - as_composited(made)).max() <= 1
    assert bool(made.changes) == (variant > 0)
    for name in COLORS:  # what is named is there, and what is there is named
        shown = any((layer.pixels[layer.pixels[..., 3] > 250][:, :3] == COLORS[name]).all(1).any()
                    for layer in made.image.layers)  # fmt: skip
        assert not shown or name in made.prompt
        if name in made.prompt:
            assert name in sidecar.whole_caption
    if "drop" in made.changes:
        gone = [name for name in COLORS if not any(f"a {name} circle" in part for part in made.parts.layers)]
        assert not any(name in made.prompt for name in gone)


def test_variant_zero_is_the_sample_itself() -> None:
    image, sidecar = make_design(2, 4)
    made = variant_of(image, sidecar, 0, VariantConfig(count=4), seed=9)
    assert made is not None
    assert np.array_equal(made.image.whole(), image.whole())
    assert made.prompt == sidecar.whole_caption
    assert not made.changes


def test_a_models_own_merged_image_is_not_kept() -> None:
    image, sidecar = make_design(2, 3)
    made = variant_of(LayeredImage(image.base, image.layers, merged=image.base), sidecar, 0, VariantConfig(), seed=0)
    assert made is not None
    assert made.image.merged is None


def test_layers_are_dropped_with_their_names() -> None:
    image, sidecar = row_of_discs(Box(0, 0, 20, 20), Box(30, 0, 50, 20), Box(60, 0, 80, 20))
    found: Counter[int] = Counter()
    for made in variants(image, sidecar, only("drop"), 40):
        found[len(made.image.layers)] += 1
        kept = [layer for layer in image.layers if any(layer is other for other in made.image.layers)]
        assert len(kept) == len(made.image.layers) < 3
        for name, layer in zip(COLORS, image.layers, strict=False):
            assert (f"a {name} circle" in made.prompt) == any(layer is other for other in kept)
        assert made.prompt.endswith(" on plain gray paper")
    assert set(found) == {1, 2}
    assert found[2] > found[1]


def test_moved_layers_touch_nothing_and_keep_their_pixels() -> None:
    image, sidecar = row_of_discs(Box(2, 2, 18, 18), Box(40, 20, 60, 40), Box(50, 30, 70, 50))
    for made in variants(image, sidecar, only("move")):
        first, second, third = made.image.layers
        assert (second.box, third.box) == (image.layers[1].box, image.layers[2].box)
        assert first.box != image.layers[0].box
        assert first.pixels is image.layers[0].pixels
        assert Box.canvas((96, 64)).contains(first.box)
        assert not first.box.intersection(second.box)
        assert not first.box.intersection(third.box)


def test_neighbours_that_overlap_become_one_layer_and_the_picture_stays() -> None:
    image, sidecar = row_of_discs(Box(2, 2, 32, 32), Box(20, 10, 50, 40), Box(70, 20, 100, 50))
    made = variants(image, sidecar, only("group"))
    assert made
    for variant in made:
        assert [layer.box for layer in variant.image.layers] == [Box(2, 2, 50, 40), Box(70, 20, 100, 50)]
        assert variant.parts.layers == ("a red circle and a green circle", "a blue circle")
        assert variant.prompt == sidecar.whole_caption
        group = variant.image.layers[0].pixels
        assert (group[group[..., 3] == 0] == 0).all()
        # The group's colour and alpha are rounded once more than the layers' own.
        assert np.abs(variant.image.whole().astype(int) - image.whole()).max() <= 2


def test_text_is_neither_moved_nor_grouped() -> None:
    image, sidecar = row_of_discs(Box(2, 2, 32, 32), Box(20, 10, 50, 40))
    texts = [layer.model_copy(update={"kind": "text"}) for layer in sidecar.layers]
    sidecar = sidecar.model_copy(update={"layers": tuple(texts)})
    assert not variants(image, sidecar, only("group"))
    apart, described = row_of_discs(Box(2, 2, 12, 12), Box(30, 10, 50, 40))
    described = described.model_copy(update={"layers": (texts[0], described.layers[1])})
    for made in variants(apart, described, only("move")):
        assert made.image.layers[0].box == Box(2, 2, 12, 12)


def test_without_captions_nothing_is_dropped_or_moved() -> None:
    image, sidecar = row_of_discs(Box(2, 2, 32, 32), Box(20, 10, 50, 40), Box(70, 2, 80, 12))
    nameless = tuple(layer.model_copy(update={"caption": ""}) for layer in sidecar.layers)
    sidecar = sidecar.model_copy(update={"layers": nameless})
    for made in variants(image, sidecar, VariantConfig(count=9, drop=1, move=1, group=1)):
        assert made.changes == ("group",)
        assert made.prompt == sidecar.whole_caption


def test_a_single_layer_that_fills_the_canvas_has_no_variants() -> None:
    image, sidecar = row_of_discs(Box(0, 0, 96, 64))
    assert not variants(image, sidecar, VariantConfig(count=9, drop=1, move=1, group=1))


def test_variants_differ_from_each_other_and_between_seeds() -> None:
    image, sidecar = row_of_discs(Box(0, 0, 16, 16), Box(20, 0, 36, 16), Box(40, 0, 56, 16), Box(60, 0, 76, 16))
    config = VariantConfig(count=9, drop=0.5, move=0.9)
    wholes = [made.image.whole().tobytes() for made in variants(image, sidecar, config)]
    assert len(set(wholes)) > len(wholes) // 2
    other = variant_of(image, sidecar, 1, config, seed=4)
    assert other is not None
    assert other.image.whole().tobytes() != wholes[0]


@pytest.mark.parametrize(
    ("parts", "caption"),
    [
        (PromptParts("", "a beach", ("a cat", "a red apple", "a dog")), "a cat, a red apple and a dog on a beach"),
        (PromptParts("", "a beach", ("a cat",)), "a cat on a beach"),
        (PromptParts("", "", ("a cat", "a dog")), "a cat and a dog"),
        (PromptParts("", "a beach", ("", "a dog")), "a dog on a beach"),
        (PromptParts("", "", ("",)), ""),
        (PromptParts("This is a pixel style image.", "", ()), ""),
        (
            PromptParts("This is a 3D style image.", "A sandy beach.", ("A cat sits.", "a dog")),
            "This is a 3D style image. A sandy beach. A cat sits. a dog.",
        ),
    ],
)
def test_captions_are_joined_as_they_are_written(parts: PromptParts, caption: str) -> None:
    assert parts.caption == caption


def test_the_sentence_that_names_the_style_stays() -> None:
    image, sidecar = row_of_discs(Box(0, 0, 20, 20), Box(30, 0, 50, 20))
    opening = "This is a neon graffiti style image."
    sidecar = sidecar.model_copy(update={"whole_caption": f"{opening} The image presents two circles."})
    for made in variants(image, sidecar, only("drop")):
        assert made.prompt in {f"{opening} a {name} circle on plain gray paper" for name in COLORS}
