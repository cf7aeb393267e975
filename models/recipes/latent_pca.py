"""A linear autoencoder: principal components of 8×8 patches, 16 channels.

It fixes the latent space before any network is trained, so that the transformer and the real autoencoder can
be trained at the same time; the autoencoder then learns to agree with it (`train_vae.py`).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

PATCH = 8
CHANNELS = 16
_GRAY = 128 / 127.5 - 1  # the flat background is the origin, so it has the latent 0 everywhere


@dataclass(frozen=True)
class LatentPca:
    """`basis` [16, 192] has orthonormal rows; `scale` [16] brings each channel to a similar size."""

    basis: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, images: Tensor) -> "LatentPca":
        """From float images [n, 3, height, width] in −1 … 1. Patches of pure background do not count."""
        patches = _patches(images - _GRAY).movedim(1, -1).reshape(-1, 3 * PATCH * PATCH)
        patches = patches[patches.abs().amax(1) > 0.02].double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        basis = vectors[:, -CHANNELS:].flip(1).T
        spread = values[-CHANNELS:].flip(0).sqrt()
        # Half-way to whitening: fine detail stays above the noise without shouting.
        scale = spread.pow(-0.5)
        scale = scale / ((scale * spread).square().mean().sqrt())
        return cls(basis.float().contiguous(), scale.float())

    @classmethod
    def load(cls, path: Path) -> "LatentPca":
        return cls(**load_file(path))

    def save(self, path: Path) -> None:
        save_file({"basis": self.basis, "scale": self.scale}, path)

    def encode(self, images: Tensor) -> Tensor:
        """Float images [n, 3, height, width] in −1 … 1 to latents [n, 16, height / 8, width / 8]."""
        return torch.einsum("nphw,cp->nchw", _patches(images - _GRAY), self.basis) * self.scale[:, None, None]

    def decode(self, latents: Tensor) -> Tensor:
        """The linear inverse; what the 16 channels cannot say is lost."""
        patches = torch.einsum("nchw,cp->nphw", latents / self.scale[:, None, None], self.basis)
        return torch.nn.functional.pixel_shuffle(patches, PATCH) + _GRAY


def _patches(images: Tensor) -> Tensor:
    """[n, 3, height, width] to [n, 192, height / 8, width / 8]."""
    return torch.nn.functional.pixel_unshuffle(images, PATCH)
