"""Transparent pictures as latents of an RGB autoencoder."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from art_model.autoencoder import MARGIN, decode_regions, encode_regions, encode_samples, prepare
from art_model.regions import Regions, regions_of
from layered.arrays import UInt8Array
from layered.box import Box
from layered.torchvision_cure import ensure_torchvision
from models import TINY


class PatchVae:
    """An autoencoder whose latents are the pixels of 8 × 8 patches, so that every latent is known beforehand."""

    def __init__(self, scaling: float = 1.0, shift: float | None = None) -> None:
        self.config = SimpleNamespace(block_out_channels=(8, 8, 8, 8), scaling_factor=scaling, shift_factor=shift)
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def encode(self, images: Tensor) -> Any:
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=F.pixel_unshuffle(images, 8)))

    def decode(self, latents: Tensor) -> Any:
        return SimpleNamespace(sample=F.pixel_shuffle(latents, 8))


def random_rgba(box: Box, seed: int) -> UInt8Array:
    rng = np.random.default_rng(seed)
    alpha = rng.choice([0, 1, 128, 255], (box.height, box.width, 1))
    return np.concatenate([rng.integers(0, 256, (box.height, box.width, 3)), alpha], 2).astype(np.uint8)


@st.composite
def designs(draw: st.DrawFn) -> tuple[list[UInt8Array], Regions]:
    """Random regions, overflowing ones among them, with random pictures."""
    canvas = draw(st.integers(8, 70)), draw(st.integers(8, 70))
    boxes = []
    for _ in range(draw(st.integers(0, 3))):
        x, y = draw(st.integers(-40, 60)), draw(st.integers(-40, 60))
        boxes.append(Box(x, y, x + draw(st.integers(1, 40)), y + draw(st.integers(1, 40))))
    regions = regions_of(canvas, boxes)
    return [random_rgba(region.box, number) for number, region in enumerate(regions.items)], regions


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_what_is_invisible_is_exactly_mid_gray_whatever_lies_under_it(seed: int) -> None:
    rgba = random_rgba(Box(0, 0, 9, 7), seed)
    hidden = rgba[..., 3] == 0
    prepared = prepare(rgba)
    assert (prepared[:, torch.from_numpy(hidden)] == 0).all()
    other = rgba.copy()
    other[hidden, :3] = 255 - other[hidden, :3]
    assert torch.equal(prepare(other), prepared)


def test_alpha_is_written_into_colour() -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 51]]], np.uint8)
    wanted = torch.tensor([[1.0, 0.6], [-1.0, -0.6], [-1.0, -0.6]])
    torch.testing.assert_close(prepare(rgba)[:, 0], wanted)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 4), np.float32), np.zeros((4, 4), np.uint8)]
)
def test_only_8_bit_rgba_is_taken(picture: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="RGBA of uint8"):
        prepare(picture)


@given(design=designs(), margin=st.sampled_from([0, 8, 16]))
@settings(max_examples=40, deadline=None)
def test_latents_are_those_of_the_aligned_box_with_gray_beside_the_exact_one(
    design: tuple[list[UInt8Array], Regions], margin: int
) -> None:
    images, regions = design
    latents = encode_regions(PatchVae(), images, regions, margin=margin)
    for image, region, own in zip(images, regions.items, latents, strict=True):
        assert own.shape == (192, 2 * region.rows, 2 * region.columns)
        picture = F.pixel_shuffle(own, 8)
        inner = region.inner()
        rows, columns = inner.pixels()
        torch.testing.assert_close(picture[:, rows, columns], prepare(image))
        picture[:, rows, columns] = 0
        assert (picture == 0).all()


@given(several=st.lists(designs(), min_size=2, max_size=4))
@settings(max_examples=15, deadline=None)
def test_designs_encoded_together_are_those_encoded_alone(several: list[tuple[list[UInt8Array], Regions]]) -> None:
    vae = PatchVae(scaling=0.3611, shift=0.1159)
    together = encode_samples(vae, several, batch=2)
    for (images, regions), latents in zip(several, together, strict=True):
        for one, other in zip(encode_regions(vae, images, regions), latents, strict=True):
            torch.testing.assert_close(one, other)


def test_latents_are_shifted_and_scaled_as_the_transformer_sees_them() -> None:
    box = Box(0, 0, 16, 16)
    regions, images = regions_of((16, 16), [box]), [random_rgba(box, number) for number in range(3)]
    plain = encode_regions(PatchVae(), images, regions)
    for one, other in zip(plain, encode_regions(PatchVae(0.5, 0.25), images, regions), strict=True):
        torch.testing.assert_close((one - 0.25) * 0.5, other)


def test_images_must_fit_their_regions() -> None:
    regions = regions_of((32, 32), [Box(3, 3, 20, 20)])
    images = [random_rgba(region.box, 0) for region in regions.items]
    with pytest.raises(ValueError, match="2 images for 3 regions"):
        encode_regions(PatchVae(), images[:2], regions)
    with pytest.raises(ValueError, match="layer 2: an image of 32×32 pixels does not fill its box"):
        encode_regions(PatchVae(), [images[0], images[0], images[0]], regions)
    with pytest.raises(ValueError, match="margin 12 must be a multiple"):
        encode_regions(PatchVae(), images, regions, margin=12)


def test_the_margin_brings_the_embedded_autoencoder_nearer_to_a_full_canvas() -> None:
    ensure_torchvision()
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(TINY / "vae", torch_dtype=torch.float32)
    box = Box(48, 32, 96, 80)
    canvas = np.zeros((128, 128, 4), np.uint8)
    canvas[box.pixels()] = [200, 40, 90, 255]
    images = [canvas, canvas, canvas]
    full = encode_regions(vae, images, regions_of((128, 128), [Box.canvas((128, 128))]), margin=0)[2][:, 4:10, 6:12]
    images[2] = canvas[box.pixels()]

    def distance(margin: int) -> float:
        crop = encode_regions(vae, images, regions_of((128, 128), [box]), margin=margin)[2]
        return float((crop - full).square().mean() / full.square().mean())

    assert distance(MARGIN) < 0.3 * distance(0)
    assert distance(MARGIN) < 0.01


@given(design=designs())
@settings(max_examples=15, deadline=None)
def test_what_was_encoded_is_drawn_again(design: tuple[list[UInt8Array], Regions]) -> None:
    images, regions = design
    vae = PatchVae(scaling=0.3611, shift=0.1159)
    for image, region, drawn in zip(
        images, regions.items, decode_regions(vae, encode_regions(vae, images, regions), batch=2), strict=True
    ):
        assert drawn.shape == (3, region.aligned.height, region.aligned.width)
        torch.testing.assert_close(drawn[(slice(None), *region.inner().pixels())], prepare(image), atol=1e-5, rtol=0)
