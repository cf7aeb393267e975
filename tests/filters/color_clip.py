"""A CLIP whose embeddings are known: colours."""

from collections.abc import Sequence

import numpy as np

from filters.clip import layer_picture
from filters.filter import FilterInput
from layered.arrays import FloatArray, UInt8Array

NAMES = ("red", "green", "blue")


class ColorClip:
    """Embeds a picture as how much redder, greener or bluer than gray it is, and a caption as the colour it names."""

    negatives = np.eye(3, dtype=np.float32)

    def embed_image(self, rgb: UInt8Array) -> FloatArray:
        mean = rgb.reshape(-1, 3).mean(axis=0).astype(np.float32) - rgb.mean() + 1e-3
        return mean / np.linalg.norm(mean)

    def embed_layer(self, rgba: UInt8Array) -> FloatArray:
        return self.embed_image(layer_picture(rgba))

    def embed_text(self, caption: str) -> FloatArray:
        named = np.array([name in caption for name in NAMES], np.float32)
        return named / np.linalg.norm(named) if named.any() else named

    def embed_texts(self, captions: Sequence[str]) -> FloatArray:
        return np.stack([self.embed_text(caption) for caption in captions])

    def embed_part(self, sample: FilterInput, position: int) -> FloatArray:
        image = sample.image
        return self.embed_image(image.whole()) if position < 0 else self.embed_layer(image.layers[position].pixels)
