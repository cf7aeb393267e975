"""The linear autoencoder that fixes the latent space."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from models.recipes.latent_pca import CHANNELS, LatentPca


def _images() -> torch.Tensor:
    """Smooth noise, so that few components say most."""
    rough = torch.randn(24, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(rough, size=(32, 32), mode="bicubic").clamp(-1, 1)


def test_the_flat_background_is_the_origin_and_comes_back_exactly() -> None:
    pca = LatentPca.fit(_images())
    gray = torch.full((1, 3, 16, 24), 128 / 127.5 - 1)
    assert pca.encode(gray).shape == (1, CHANNELS, 2, 3)
    assert pca.encode(gray).abs().max() == 0
    assert torch.equal(pca.decode(torch.zeros(1, CHANNELS, 2, 3)), gray)


def test_encoding_what_was_decoded_is_the_identity() -> None:
    pca = LatentPca.fit(_images())
    latents = torch.randn(2, CHANNELS, 3, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(pca.encode(pca.decode(latents)), latents, rtol=1e-4, atol=1e-4)


def test_no_other_projection_of_that_rank_loses_less() -> None:
    images = _images()
    pca = LatentPca.fit(images)
    lost = (pca.decode(pca.encode(images)) - images).square().sum()
    patches = torch.nn.functional.pixel_unshuffle(images - (128 / 127.5 - 1), 8).movedim(1, -1).reshape(-1, 192)
    # Eckart & Young: the smallest possible loss is the sum of the squared singular values left out.
    least = torch.linalg.svdvals(patches.double())[CHANNELS:].square().sum()
    torch.testing.assert_close(lost.double(), least, rtol=1e-3, atol=1e-3)


def test_it_survives_its_file(tmp_path: Path) -> None:
    pca = LatentPca.fit(_images())
    pca.save(tmp_path / "pca.safetensors")
    assert set(load_file(tmp_path / "pca.safetensors")) == {"basis", "scale"}
    assert torch.equal(LatentPca.load(tmp_path / "pca.safetensors").basis, pca.basis)
