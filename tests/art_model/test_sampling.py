"""The sampler against oracles, and what it promises of held parts, seeds and batches."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from art_model.autoencoder import encode_regions
from art_model.checkpoint import Art, load_art
from art_model.packing import PackedBatch, latents_to_tokens
from art_model.regions import Regions, regions_of
from art_model.request import Held, Layout, SampleRequest
from art_model.sampling import SamplerSettings, noise_seed, sample, sample_batch, settings_for
from art_model.schedule import Shift, sigmas
from layered import Box, LayeredImage, UserError
from layered.codec import decode_members, encode_members
from tests.art_model.random_art import random_art

PROMPT = "a red apple on a beach"
LAYOUT = Layout((64, 48), (Box(5, 3, 38, 40), Box(-7, 20, 20, 55), Box(30, 10, 61, 30)))


class Spy(nn.Module):
    """A transformer that keeps what it was given; its velocity is a function of the batch, or the real one's."""

    def __init__(self, real: nn.Module, velocity: Callable[[PackedBatch], Tensor] | None = None) -> None:
        super().__init__()
        self.proj_out = real.proj_out
        self.batches: list[PackedBatch] = []
        self._velocity = velocity or real.__call__

    def forward(self, batch: PackedBatch) -> Tensor:
        self.batches.append(batch)
        return self._velocity(batch)


def spied(art: Art, velocity: Callable[[PackedBatch], Tensor] | None = None) -> Spy:
    spy = Spy(art.transformer, velocity)
    art.transformer = spy  # type: ignore[assignment]
    return spy


def times_of(batch: PackedBatch) -> Tensor:
    return batch.row_times[batch.token_rows]


def random_layers(layout: Layout = LAYOUT, seed: int = 0) -> dict[int, np.ndarray]:
    """RGBA for every box, half of it invisible, with colour under the invisible part."""
    random = np.random.default_rng(seed)
    layers = {}
    for index, box in enumerate(layout.boxes):
        layers[index] = random.integers(0, 256, (box.height, box.width, 4), np.uint8)
        layers[index][: box.height // 2, :, 3] = 0
    return layers


def random_canvas(seed: int, layout: Layout = LAYOUT) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (layout.canvas[1], layout.canvas[0], 3), np.uint8)


def assert_equal(one: LayeredImage, other: LayeredImage) -> None:
    assert [layer.box for layer in one.layers] == [layer.box for layer in other.layers]
    for mine, yours in zip(pictures(one), pictures(other), strict=True):
        np.testing.assert_array_equal(mine, yours)


def pictures(image: LayeredImage) -> list[np.ndarray]:
    assert image.merged is not None
    return [image.merged, image.base, *(layer.pixels for layer in image.layers)]


def test_a_design_has_the_boxes_of_its_layout(art: Art) -> None:
    image = sample(art, PROMPT, LAYOUT)
    assert image.canvas == LAYOUT.canvas
    assert tuple(layer.box for layer in image.layers) == LAYOUT.boxes
    assert image.merged is not None
    assert all(pixels.std() > 5 for pixels in pictures(image))
    assert all(not layer.pixels[layer.pixels[..., 3] == 0].any() for layer in image.layers)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """A canvas with one box that touches it."""
    spans, sides = [], []
    for _ in range(2):
        side = draw(st.integers(16, 90))
        start = draw(st.integers(-20, side - 1))
        spans.append((start, draw(st.integers(max(start, 0) + 1, side + 20))))
        sides.append(side)
    (x0, x1), (y0, y1) = spans
    return Layout((sides[0], sides[1]), (Box(x0, y0, x1, y1),))


@hypothesis.settings(max_examples=20, deadline=None)
@given(layouts())
def test_any_box_is_cut_exactly(loaded_art: Art, layout: Layout) -> None:
    image = sample(loaded_art, PROMPT, layout, settings=settings_for(loaded_art.settings, steps=1))
    assert image.canvas == layout.canvas
    assert image.layers[0].box == layout.boxes[0]


def test_seed_and_id_name_a_design(art: Art) -> None:
    image = sample(art, PROMPT, LAYOUT, seed=1, sample_id="a")
    assert_equal(image, sample(art, PROMPT, LAYOUT, seed=1, sample_id="a"))
    for other in (sample(art, PROMPT, LAYOUT, seed=2, sample_id="a"), sample(art, PROMPT, LAYOUT, seed=1)):
        assert not np.array_equal(image.base, other.base)


@pytest.mark.parametrize("steps", [1, 4])
def test_euler_steps_end_at_the_data_that_the_velocity_leads_to(art: Art, steps: int) -> None:
    """The exact velocity of one data point, (x - data) / t, must be followed to it at any number of steps."""
    regions = regions_of(LAYOUT.canvas, LAYOUT.boxes)
    data = torch.randn(regions.tokens, 64, generator=torch.Generator().manual_seed(7))
    spied(art, lambda batch: (batch.tokens - data) / times_of(batch)[:, None])
    ends: list[Tensor] = []
    settings = replace(settings_for(art.settings, steps=steps), true_cfg=1.0)
    sample(art, PROMPT, LAYOUT, settings=settings, callback=lambda step, tokens: ends.append(tokens[0]))
    assert len(ends) == steps
    torch.testing.assert_close(ends[-1], data, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shift", [Shift(), Shift(by="total"), Shift(by=3.0)])
def test_each_step_is_made_at_its_shifted_time(art: Art, shift: Shift) -> None:
    spy = spied(art)
    settings = replace(settings_for(art.settings, steps=4), shift=shift)
    sample(art, PROMPT, LAYOUT, settings=settings)
    wanted = sigmas(4, regions_of(LAYOUT.canvas, LAYOUT.boxes), shift)[:-1].float()
    torch.testing.assert_close(torch.stack([batch.row_times[0] for batch in spy.batches]), wanted)
    assert all(len(set(batch.row_times.tolist())) == 1 for batch in spy.batches)


def test_true_cfg_leads_away_from_the_negative_prompt(art: Art) -> None:
    """With constant velocities a for the prompt and b for the negative one, noise must move by -(b + s (a - b))."""
    texts = {len(art.text([prompt])[0].text): value for prompt, value in ((PROMPT, 1.0), ("", 0.25))}

    def by_prompt(batch: PackedBatch) -> Tensor:
        values = [torch.full((n, 64), texts[t]) for n, t in zip(batch.image_lengths, batch.text_lengths, strict=True)]
        return torch.cat(values)

    spy = spied(art, by_prompt)
    ends: list[Tensor] = []
    settings = settings_for(art.settings, steps=2, true_cfg=3.0)
    sample(art, PROMPT, LAYOUT, settings=settings, callback=lambda step, tokens: ends.append(tokens[0]))
    noise = spy.batches[0].tokens[: spy.batches[0].image_lengths[0]]
    torch.testing.assert_close(ends[-1], noise - (0.25 + 3 * (1 - 0.25)), atol=1e-5, rtol=0)


def test_without_true_cfg_the_negative_prompt_is_not_looked_at(art: Art) -> None:
    spy = spied(art)
    settings = replace(settings_for(art.settings), true_cfg=1.0)
    sample(art, PROMPT, LAYOUT, negative_prompt="a cat", settings=settings)
    assert all(len(batch.image_lengths) == 1 for batch in spy.batches)


def test_the_prompt_and_the_negative_prompt_matter(art: Art) -> None:
    image = sample(art, PROMPT, LAYOUT)
    assert not np.array_equal(image.base, sample(art, "a cat", LAYOUT).base)
    assert not np.array_equal(image.base, sample(art, PROMPT, LAYOUT, negative_prompt="a cat").base)


def test_a_batch_draws_what_each_request_draws_alone(art: Art) -> None:
    other = Layout((48, 80), (Box(1, 1, 40, 40),))
    held = Held(background=random_canvas(1))
    requests = [
        SampleRequest(PROMPT, LAYOUT, sample_id="a", held=held),
        SampleRequest("a cat", other, "a dog", sample_id="b", seed=5),
    ]
    for together, request in zip(sample_batch(art, requests), requests, strict=True):
        (alone,) = sample_batch(art, [request])
        for mine, yours in zip(pictures(together), pictures(alone), strict=True):
            assert np.abs(mine.astype(int) - yours).max() <= 1


# Held parts


def test_held_parts_are_clean_in_every_step_and_come_back_as_they_were(art: Art) -> None:
    layers = random_layers()
    merged = random_canvas(1)
    held = Held(merged=merged, layers={0: layers[0], 2: layers[2]})
    spy = spied(art)
    image = sample(art, PROMPT, LAYOUT, held=held)
    np.testing.assert_array_equal(image.merged, merged)
    for index in (0, 2):
        np.testing.assert_array_equal(image.layers[index].pixels, layers[index])
    regions = regions_of(LAYOUT.canvas, LAYOUT.boxes)
    images = {region.layer: pixels for region, pixels in zip(regions.items[2:], layers.values(), strict=True)}
    images |= {0: np.dstack([merged, np.full((48, 64), 255, np.uint8)])}
    for batch in spy.batches:
        layer_of_token = batch.positions[: regions.tokens, 0]
        for region in regions.items:
            of_region = (layer_of_token == region.layer).nonzero().flatten()
            is_held = region.layer in (0, 2, 4)
            assert ((times_of(batch)[of_region] == 0) == is_held).all()
            if is_held:
                (clean,) = encode_regions(art.vae, [images[region.layer]], replace(regions, items=(region,)))
                torch.testing.assert_close(batch.tokens[of_region], latents_to_tokens(clean))


def test_held_parts_are_never_taken_from_the_decoder_but_it_sees_their_latents(art: Art) -> None:
    seen: list[list[Tensor]] = []
    real = art.decoder.decode

    def decode(vae: Any, latents: list[Tensor], regions: Regions) -> list[np.ndarray]:
        seen.append(latents)
        return real(vae, latents, regions)

    art.decoder = SimpleNamespace(decode=decode)  # type: ignore[assignment]
    layers = random_layers()
    sample(art, PROMPT, LAYOUT, held=Held(layers={1: layers[1]}))
    regions = regions_of(LAYOUT.canvas, LAYOUT.boxes)
    (clean,) = encode_regions(art.vae, [layers[1]], replace(regions, items=regions.items[3:4]))
    torch.testing.assert_close(seen[0][3], clean)


def test_editing_a_layer_keeps_all_others(art: Art) -> None:
    first = sample(art, PROMPT, LAYOUT)
    others = {index: first.layers[index].pixels for index in (0, 2)}
    edited = sample(art, "a cat on a beach", LAYOUT, held=Held(background=first.base, layers=others), seed=1)
    np.testing.assert_array_equal(edited.base, first.base)
    for index in (0, 2):
        np.testing.assert_array_equal(edited.layers[index].pixels, first.layers[index].pixels)
    assert not np.array_equal(edited.layers[1].pixels, first.layers[1].pixels)
    assert not np.array_equal(pictures(edited)[0], pictures(first)[0])


def test_adding_a_layer_generates_only_it_and_the_merged_image(art: Art) -> None:
    first = sample(art, PROMPT, LAYOUT)
    wider = Layout(LAYOUT.canvas, (*LAYOUT.boxes, Box(10, 10, 30, 30)))
    held = Held(background=first.base, layers={index: layer.pixels for index, layer in enumerate(first.layers)})
    spy = spied(art)
    added = sample(art, PROMPT, wider, held=held)
    noised = {int(layer) for batch in spy.batches for layer in batch.positions[times_of(batch) > 0, 0]}
    assert noised == {0, 5}
    for mine, yours in zip(pictures(added)[1:-1], pictures(first)[1:], strict=True):
        np.testing.assert_array_equal(mine, yours)
    assert added.layers[3].box == wider.boxes[3]


def test_a_picture_is_taken_apart_under_its_own_influence(art: Art) -> None:
    one, other = (sample(art, PROMPT, LAYOUT, held=Held(merged=random_canvas(number))) for number in (1, 2))
    np.testing.assert_array_equal(one.merged, random_canvas(1))
    assert not np.array_equal(one.base, other.base)
    assert not np.array_equal(one.layers[0].pixels, other.layers[0].pixels)


def test_layers_are_restyled_by_another_prompt(art: Art) -> None:
    layers = random_layers()
    cartoon, neon = (
        sample(art, f"an apple, {style} style", LAYOUT, held=Held(layers={0: layers[0]})) for style in ("flat", "neon")
    )
    np.testing.assert_array_equal(cartoon.layers[0].pixels, neon.layers[0].pixels)
    assert not np.array_equal(cartoon.layers[1].pixels, neon.layers[1].pixels)


def test_one_more_layer_leaves_the_noise_of_all_others(art: Art) -> None:
    spy = spied(art)
    sample(art, PROMPT, LAYOUT)
    sample(art, PROMPT, Layout(LAYOUT.canvas, (*LAYOUT.boxes, Box(0, 0, 16, 16))))
    tokens = regions_of(LAYOUT.canvas, LAYOUT.boxes).tokens
    first, second = spy.batches[0], spy.batches[len(spy.batches) // 2]
    assert torch.equal(first.tokens[:tokens], second.tokens[:tokens])
    assert len({noise_seed(0, "sample", layer) for layer in range(-2, 50)}) == 52


# Presets, sizes, limits


def test_the_released_preset_is_the_papers_pair(tmp_path: Path) -> None:
    guided = load_art(random_art(tmp_path, guidance=1.0))
    released = settings_for(guided.settings, "released")
    assert (released.guidance, released.true_cfg, released.shift.by, released.clip_overflow) == (
        4.0,
        3.5,
        "total",
        True,
    )
    assert settings_for(guided.settings) == SamplerSettings(3, 2.0, 1.0, Shift())
    spy = spied(guided)
    image = sample(guided, PROMPT, LAYOUT, settings=released)
    assert image.layers[1].box == Box(0, 20, 20, 48)
    assert spy.batches[0].guidance is not None
    assert spy.batches[0].guidance.tolist() == [4.0, 4.0]
    assert len(spy.batches[0].image_lengths) == 2


def test_held_layers_keep_their_boxes_where_boxes_are_cut(art: Art) -> None:
    layers = random_layers()
    image = sample(
        art, PROMPT, LAYOUT, held=Held(layers={1: layers[1]}), settings=settings_for(art.settings, "released")
    )
    assert image.layers[1].box == LAYOUT.boxes[1]
    np.testing.assert_array_equal(image.layers[1].pixels, layers[1])


def test_wrong_settings_are_refused(art: Art) -> None:
    with pytest.raises(UserError, match="no preset 'paper'"):
        settings_for(art.settings, "paper")
    with pytest.raises(UserError, match="no guidance embedding"):
        settings_for(art.settings, guidance=4.0)
    with pytest.raises(UserError, match="steps is 0"):
        settings_for(art.settings, steps=0)
    with pytest.raises(UserError, match=r"scale is 0\.5"):
        settings_for(art.settings, true_cfg=0.5)
    with pytest.raises(UserError, match="tokens, but the model reads 40: shorten it"):
        sample(art, " ".join(["apple"] * 40), LAYOUT)


def test_fifty_layers_are_sampled(art: Art) -> None:
    boxes = tuple(Box(x, y, x + 30, y + 30) for x in range(-10, 110, 24) for y in range(-10, 110, 12))[:50]
    image = sample(art, PROMPT, Layout((128, 128), boxes), settings=settings_for(art.settings, steps=2))
    assert tuple(layer.box for layer in image.layers) == boxes
    assert len({layer.pixels.tobytes() for layer in image.layers}) == 50


def test_a_layer_embedding_limits_the_layers(tmp_path: Path) -> None:
    limited = load_art(random_art(tmp_path, layer_embedding_rows=5))
    sample(limited, PROMPT, LAYOUT)
    with pytest.raises(UserError, match="fewer layers"):
        sample(limited, PROMPT, Layout(LAYOUT.canvas, (*LAYOUT.boxes, Box(0, 0, 9, 9))))


def test_a_design_can_be_stored_and_read_again(art: Art) -> None:
    from tests.shards.samples import make_sample

    image = sample(art, PROMPT, LAYOUT)
    _, sidecar = make_sample(1, layers=3)
    records = [
        record.model_copy(update={"box": layer.box.as_tuple()})
        for record, layer in zip(sidecar.layers, image.layers, strict=True)
    ]
    sidecar = sidecar.model_copy(update={"layers": tuple(records), "canvas": image.canvas})
    assert_equal(decode_members(encode_members(image, sidecar))[0], image)
