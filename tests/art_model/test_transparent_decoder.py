"""The decoder from the latents of all regions to RGBA."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch import Tensor

from art_model.autoencoder import encode_regions
from art_model.regions import Regions, regions_of
from art_model.transparent_decoder import (
    CONFIG_NAME,
    DecoderConfig,
    TransparentDecoder,
    cut_to_box,
    load_decoder,
    save_decoder,
)
from layered.arrays import Color
from layered.box import Box
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.pixels import clear_hidden
from layered.torchvision_cure import ensure_torchvision
from models import TINY

SMALL = DecoderConfig(
    latent_channels=3, width=24, heads=2, blocks=2, mlp=32, pixel_features=2, pixel_width=6, rope_axes=(2, 6, 4)
)


def random_decoder(config: DecoderConfig = SMALL) -> TransparentDecoder:
    """All weights random, so that nothing of the path stays at zero."""
    torch.manual_seed(1)
    decoder = TransparentDecoder(config).requires_grad_(False).eval()
    for weight in decoder.parameters():
        weight.add_(0.1 * torch.randn_like(weight))
    return decoder


def random_latents(regions: Regions, seed: int = 0, channels: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(channels, 2 * r.rows, 2 * r.columns, generator=generator) for r in regions.items]


def random_drawn(regions: Regions, seed: int = 100) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, r.aligned.height, r.aligned.width, generator=generator) * 2 - 1 for r in regions.items]


@st.composite
def layouts(draw: st.DrawFn) -> Regions:
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x, y = draw(st.integers(-90, 150)), draw(st.integers(-90, 150))
        boxes.append(Box(x, y, x + draw(st.integers(1, 100)), y + draw(st.integers(1, 100))))
    return regions_of((draw(st.integers(1, 150)), draw(st.integers(1, 150))), boxes)


@given(several=st.lists(layouts(), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_designs_decoded_together_are_those_decoded_alone_and_have_their_regions_size(several: list[Regions]) -> None:
    decoder = random_decoder()
    samples = [(random_latents(own, n), random_drawn(own, n + 9), own) for n, own in enumerate(several)]
    for sample, together in zip(samples, decoder.packed(samples), strict=True):
        for one, other, region in zip(decoder(*sample), together, sample[2].items, strict=True):
            assert one.shape == (4, region.aligned.height, region.aligned.width)
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_attention_reaches_the_window_and_convolutions_three_pixels_farther() -> None:
    config = DecoderConfig(**(SMALL.model_dump() | {"blocks": 1}))
    decoder, regions = random_decoder(config), regions_of((128, 64), [])
    latents, drawn = random_latents(regions), random_drawn(regions)
    before = decoder(latents, drawn, regions)
    latents[1][:, 0, 0] += 1  # the background's first token lies in the left one of two windows
    after = decoder(latents, drawn, regions)
    changed = [(one - other).abs().amax(0) > 0 for one, other in zip(before, after, strict=True)]
    for own in changed:
        assert own[:, :64].float().mean() > 0.9  # rectifiers may be silent here and there
        assert own[:, 64:67].any()
        assert not own[:, 67:].any()


def test_windows_equal_attention_under_a_mask() -> None:
    decoder = random_decoder()
    regions = regions_of((100, 80), [Box(-20, 10, 50, 60), Box(30, 30, 90, 100)])
    latents, drawn = random_latents(regions), random_drawn(regions)
    found = torch.cat([own.flatten() for own in decoder(latents, drawn, regions)])
    oracle = torch.cat([own.flatten() for own in dense_decode(decoder, latents, drawn, regions)])
    torch.testing.assert_close(found, oracle, atol=1e-5, rtol=1e-4)


def dense_decode(
    decoder: TransparentDecoder, latents: list[Tensor], drawn: list[Tensor], regions: Regions
) -> list[Tensor]:
    """The decoder written out: one big attention, a mask for the windows, complex numbers for the rotation, and
    convolutions as sums over shifted pictures."""
    config = decoder.config
    rows = []
    for own, region in zip(latents, regions.items, strict=True):
        for y in range(own.shape[1]):
            for x in range(own.shape[2]):
                rows.append((region.layer, region.aligned.y0 // 8 + y, region.aligned.x0 // 8 + x))
    positions = torch.tensor(rows, dtype=torch.float32)
    roles = positions[:, 0].clamp(max=2).long()
    tokens = torch.cat([own.flatten(1).T for own in latents])
    angles = torch.cat(
        [
            positions[:, axis, None] * config.rope_theta ** -(torch.arange(0, size, 2) / size)
            for axis, size in enumerate(config.rope_axes)
        ],
        1,
    )
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    half = turn.shape[-1]

    def rotated(vectors: Tensor) -> Tensor:
        turned = torch.complex(vectors[..., :half].contiguous(), vectors[..., half:].contiguous()) * turn
        return torch.cat([turned.real, turned.imag], -1)

    at = {tuple(row): number for number, row in enumerate(rows)}
    nothing = torch.zeros(1, tokens.shape[1])
    seen = [[at.get((layer, *row[1:]), len(rows)) for layer in (row[0], 0, 1)] for row in rows]
    latents_seen = torch.cat([tokens, nothing])[torch.tensor(seen)]
    colors = [own.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).reshape(-1, 3, 64) for own in drawn]
    pictures = torch.cat([*colors, torch.zeros(1, 3, 64)])[torch.tensor(seen)]
    hidden = decoder.embed(latents_seen.flatten(1)) + decoder.role(roles)
    blocks: list[Any] = list(decoder.blocks)
    for number, block in enumerate(blocks):
        cells = torch.floor((positions[:, 1:] + (number % 2) * config.window / 2) / config.window)
        together = (cells[:, None] == cells[None]).all(-1)
        query, key, value = block.qkv(block.norm1(hidden)).unflatten(-1, (3, config.heads, -1)).unbind(1)
        query, key = rotated(query), rotated(key)
        scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
        weights = scores.masked_fill(~together, -torch.inf).softmax(-1)
        hidden = hidden + block.out(torch.einsum("hqk,khd->qhd", weights, value).flatten(1))
        hidden = hidden + block.down(torch.nn.functional.gelu(block.up(block.norm2(hidden)), approximate="tanh"))
    features = decoder.head(decoder.norm(hidden)).view(len(rows), config.pixel_features, 64)
    patches = torch.empty(len(rows), 13, 64)
    for pixel in range(64):
        shown = pictures[..., pixel]
        said = torch.cat([shown.flatten(1), features[..., pixel]], 1)
        patches[:, :4, pixel] = decoder.pixels(said)
        patches[:, :3, pixel] += shown[:, 0]
        patches[:, 3, pixel] += decoder.alpha[roles]
        patches[:, 4:, pixel] = shown.flatten(1)
    convolutions: list[Any] = list(decoder.refine)
    decoded = []
    for patch, own in zip(torch.split_with_sizes(patches, [own[0].numel() for own in latents]), latents, strict=True):
        height, width = own.shape[1:]
        grid = patch.reshape(height, width, 13, 8, 8).permute(2, 0, 3, 1, 4).reshape(13, 8 * height, 8 * width)
        changed = grid
        for number, layer in enumerate(convolutions[::2]):
            changed = summed_shifts(changed if number == 0 else changed.relu(), layer.weight, layer.bias)
        decoded.append(grid[:4] + changed)
    return decoded


def summed_shifts(picture: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3 × 3 convolution of a picture ``[c, h, w]`` with zeros around it."""
    height, width = picture.shape[1:]
    around = torch.nn.functional.pad(picture, (1, 1, 1, 1))
    shifts = ((y, x, around[:, y : y + height, x : x + width]) for y in range(3) for x in range(3))
    return bias[:, None, None] + sum(torch.einsum("chw,oc->ohw", own, weight[..., y, x]) for y, x, own in shifts)


@pytest.mark.parametrize(("scope", "sees"), [("design", True), ("region", False)])
@pytest.mark.parametrize("of_merged", ["latents", "drawn"])
def test_a_foreground_sees_the_merged_image_unless_regions_stay_alone(scope: str, sees: bool, of_merged: str) -> None:
    decoder = random_decoder(DecoderConfig(**(SMALL.model_dump() | {"scope": scope})))
    regions = regions_of((64, 64), [Box(16, 16, 48, 48)])
    inputs = {"latents": random_latents(regions), "drawn": random_drawn(regions)}
    before = decoder(**inputs, regions=regions)[2]
    inputs[of_merged][0] = inputs[of_merged][0] + 1
    assert torch.equal(before, decoder(**inputs, regions=regions)[2]) != sees


def test_a_region_alone_decodes_alike_wherever_its_windows_lie_alike() -> None:
    decoder = random_decoder(DecoderConfig(**(SMALL.model_dump() | {"scope": "region"})))
    boxes = [Box(10, 20, 70, 60).shifted(dx, dy) for dx, dy in ((0, 0), (64, 0), (-128, 192))]
    first, *others = (regions_of((128, 128), [box]) for box in boxes)
    inputs = random_latents(first), random_drawn(first)
    for other in others:
        torch.testing.assert_close(decoder(*inputs, first)[2], decoder(*inputs, other)[2], atol=1e-4, rtol=1e-3)


def test_any_number_of_layers_is_decoded() -> None:
    regions = regions_of((64, 64), [Box(n % 40, n % 30, n % 40 + 20, n % 30 + 20) for n in range(60)])
    decoded = random_decoder()(random_latents(regions), random_drawn(regions), regions)
    cut = [cut_to_box(rgba, region) for rgba, region in zip(decoded, regions.items, strict=True)]
    assert [picture.shape for picture in cut[2:]] == [(20, 20, 4)] * 60


def test_latents_must_fit_their_regions() -> None:
    decoder, regions = random_decoder(), regions_of((32, 32), [])
    latents, drawn = random_latents(regions), random_drawn(regions)
    with pytest.raises(ValueError, match=r"layer 1: latents of shape \[3, 4, 3\]"):
        decoder([latents[0], latents[1][:, :, :3]], drawn, regions)
    with pytest.raises(ValueError, match=r"layer 1: a drawn picture of shape \[3, 32, 16\]"):
        decoder(latents, [drawn[0], drawn[1][:, :, :16]], regions)
    with pytest.raises(ValueError, match="argument 2"):
        decoder(latents[:1], drawn[:1], regions)


def test_pixels_are_rounded_clipped_and_cut_to_the_exact_box() -> None:
    region = regions_of((32, 32), [Box(17, 3, 19, 4)]).items[2]
    rgba = torch.full((4, 16, 16), 9.0)
    rgba[:, 3, 1] = torch.tensor([-2.0, 0.0, 1.5, 0.501])
    rgba[:, 3, 2] = torch.tensor([1.0, 1.0, 1.0, -0.2])
    assert cut_to_box(rgba, region).tolist() == [[[0, 128, 255, 128], [0, 0, 0, 0]]]


def test_a_saved_decoder_loads_in_half_precision(tmp_path: Path) -> None:
    decoder, regions = random_decoder(), regions_of((40, 40), [Box(3, 3, 30, 30)])
    save_decoder(decoder, tmp_path / "decoder")
    loaded = load_decoder(tmp_path / "decoder")
    assert loaded.config == decoder.config
    inputs = random_latents(regions), random_drawn(regions), regions
    for one, other in zip(decoder(*inputs), loaded(*inputs), strict=True):
        torch.testing.assert_close(one, other, atol=2e-2, rtol=1e-2)


def test_a_folder_without_a_decoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="of a transparent decoder are needed"):
        load_decoder(tmp_path)
    save_decoder(random_decoder(), tmp_path)
    (tmp_path / CONFIG_NAME).write_text(replace_width(tmp_path), "utf-8")
    with pytest.raises(UserError, match="no transparent decoder"):
        load_decoder(tmp_path)


def replace_width(folder: Path) -> str:
    return (folder / CONFIG_NAME).read_text("utf-8").replace('"mlp": 32', '"mlp": 40')


def test_the_rotary_axes_must_fill_a_head() -> None:
    with pytest.raises(ValueError, match="rope_axes"):
        DecoderConfig(width=64)


# The shipped decoder.


@pytest.fixture(scope="module")
def shipped() -> TransparentDecoder:
    return load_decoder(TINY / "art" / "decoder")


def design(color: Color, opacity: int) -> LayeredImage:
    """A disc and a bar over a scene of two colours."""
    base = np.full((128, 128, 3), (120, 180, 220), np.uint8)
    base[80:] = (200, 180, 120)
    disc, bar = Image.new("RGBA", (52, 52)), Image.new("RGBA", (60, 20))
    ImageDraw.Draw(disc).ellipse((2, 2, 49, 49), fill=(*color, opacity))
    ImageDraw.Draw(bar).rectangle((2, 2, 57, 17), fill=(*color, opacity))
    placed = ((disc, (20, 30)), (bar, (50, 90)))
    layers = [
        Layer(clear_hidden(np.array(image)), Box(x, y, x + image.width, y + image.height)) for image, (x, y) in placed
    ]
    return LayeredImage(base, tuple(layers))


@pytest.fixture(scope="module")
def vae() -> Any:
    ensure_torchvision()
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(TINY / "vae", torch_dtype=torch.float32)


def encoded(vae: Any, image: LayeredImage) -> tuple[list[Tensor], Regions]:
    full = [np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]) for rgb in (image.whole(), image.base)]
    regions = regions_of(image.canvas, [layer.box for layer in image.layers])
    return encode_regions(vae, [*full, *(layer.pixels for layer in image.layers)], regions), regions


@pytest.mark.parametrize(
    ("color", "opacity"),
    [((128, 128, 128), 255), ((0, 0, 0), 255), ((255, 255, 255), 255), ((200, 30, 60), 128), ((128, 128, 128), 128)],
)
def test_gray_black_and_semi_transparent_objects_come_back(
    shipped: TransparentDecoder, vae: Any, color: Color, opacity: int
) -> None:
    image = design(color, opacity)
    for layer, found in zip(image.layers, shipped.decode(vae, *encoded(vae, image))[2:], strict=True):
        true_alpha, alpha = (pixels[..., 3].astype(float) / 255 for pixels in (layer.pixels, found))
        assert np.abs(true_alpha - alpha).mean() < 0.1
        visible = layer.pixels[..., 3] > 0
        difference = np.abs(found[visible][:, :3].astype(float) - layer.pixels[visible][:, :3])
        assert difference.mean() / 255 < 0.1


def test_the_shipped_decoder_is_joint_and_small(shipped: TransparentDecoder) -> None:
    assert shipped.config.scope == "design"
    assert sum(weight.numel() for weight in shipped.parameters()) <= 620_000
    assert sum(file.stat().st_size for file in (TINY / "art" / "decoder").iterdir()) <= 1_300_000


def test_layers_far_apart_on_the_layer_axis_decode_like_neighbours(shipped: TransparentDecoder, vae: Any) -> None:
    latents, regions = encoded(vae, design((200, 30, 60), 255))
    moved = replace(regions, items=(*regions.items[:2], *(replace(r, layer=r.layer + 45) for r in regions.items[2:])))
    near, far = (shipped.decode(vae, latents, own) for own in (regions, moved))
    for one, other in zip(near[2:], far[2:], strict=True):
        assert np.abs(one[..., 3].astype(int) - other[..., 3]).mean() < 8
