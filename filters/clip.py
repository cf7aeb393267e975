"""One CLIP per process, shared by the filters and by the check of single layers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from filters.filter import FilterInput
from layered.arrays import Color, FloatArray, UInt8Array
from layered.compositing import over_color
from layered.errors import UserError
from layered.placing import alpha_box
from layered.scores import WHOLE_IMAGE
from models import TINY
from models.vocabulary import load_vocabulary

EMBEDDED_CLIP = "layerprism-tiny"
LAYER_BACKGROUND: Color = (128, 128, 128)
"""Layers are shown to CLIP over mid-gray, the background they were drawn on; open_clip's own transform drops alpha."""

MARGIN = 0.08
"""Gray around a layer on each side, as a part of its longer side."""


class ClipConfig(BaseModel):
    """The `filters.clip` section: which CLIP looks at the pictures.

    Attributes:
        model: ``layerprism-tiny``, an open_clip folder, or a name that open_clip knows (``ViT-L-14``).
        pretrained: for a name, a weights file or open_clip's tag (``openai``).
        negatives: captions of other things, which a layer must not fit better than its own; null takes the concepts of
            the vocabulary.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(EMBEDDED_CLIP, min_length=1)
    pretrained: str | None = None
    negatives: tuple[str, ...] | None = None
    device: str = Field("cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$")

    @property
    def location(self) -> str:
        """The folder or name to load from."""
        return str(TINY / "clip") if self.model == EMBEDDED_CLIP else self.model


class ClipEncoder:
    """Pictures and captions as unit vectors, one at a time, so that none depends on its neighbours in a batch."""

    def __init__(self, config: ClipConfig) -> None:
        """Loads the model. Raises UserError when there is none where the configuration says."""
        import torch

        from models.clip import load_clip

        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"filters.clip.device is {device}, but torch finds no CUDA device; set it to auto or cpu")
        if device == "cpu":
            torch.set_num_threads(1)
        self._config = config
        self._device = device
        self._clip = load_clip(config.location, device, config.pretrained)
        # A method's cache would keep the encoder alive for ever; this one lives and dies with it.
        self.embed_text = functools.lru_cache(maxsize=4096)(self._embed_text)
        # Several filters look at the same sample one after the other; it takes its vectors with it when it goes.
        self._of_samples: WeakKeyDictionary[FilterInput, dict[int, FloatArray]] = WeakKeyDictionary()

    def embed_image(self, rgb: UInt8Array) -> FloatArray:
        """A picture ``[h, w, 3]`` as a unit vector ``[dim]``."""
        import torch

        with torch.inference_mode():
            image = self._clip.preprocess(rgb)[None].to(self._device)
            return _array(self._clip.model.encode_image(image, normalize=True))

    def embed_layer(self, rgba: UInt8Array) -> FloatArray:
        """A layer ``[h, w, 4]`` as a unit vector: trimmed, over gray, in a square."""
        return self.embed_image(layer_picture(rgba))

    def embed_part(self, sample: FilterInput, position: int) -> FloatArray:
        """One layer of a sample, or at -1 its whole image, as a unit vector; embedded once for all filters."""
        known = self._of_samples.setdefault(sample, {})
        if position not in known:
            image = sample.image
            known[position] = (
                self.embed_image(image.whole())
                if position == WHOLE_IMAGE
                else self.embed_layer(image.layers[position].pixels)
            )
        return known[position]

    def embed_texts(self, captions: Sequence[str]) -> FloatArray:
        """Captions as unit vectors ``[n, dim]``."""
        return np.stack([self.embed_text(caption) for caption in captions])

    @functools.cached_property
    def negatives(self) -> FloatArray:
        """The configured captions of other things as unit vectors ``[n, dim]``."""
        captions = self._config.negatives
        if captions is None:
            vocabulary = load_vocabulary()
            captions = tuple(vocabulary.label_caption(label) for label in vocabulary.labels)
        return self.embed_texts(captions) if captions else np.empty((0, self.embed_text("").size), np.float32)

    def _embed_text(self, caption: str) -> FloatArray:
        import torch

        with torch.inference_mode():
            tokens = self._clip.tokenize([caption]).to(self._device)
            return _array(self._clip.model.encode_text(tokens, normalize=True))


@functools.lru_cache(maxsize=2)
def shared_clip(config: ClipConfig) -> ClipEncoder:
    """The process's encoder for a configuration, loaded at the first call. Raises UserError when it cannot be."""
    return ClipEncoder(config)


def layer_picture(rgba: UInt8Array) -> UInt8Array:
    """What CLIP sees of a layer: trimmed, in the middle of a gray square with a margin, RGB ``[side, side, 3]``.

    A layer without anything visible becomes plain gray.
    """
    box = alpha_box(rgba)
    if box is None:
        return np.full((8, 8, 3), LAYER_BACKGROUND, np.uint8)
    rgb = over_color(rgba[box.pixels()], LAYER_BACKGROUND)
    side = max(box.size) + 2 * max(1, round(MARGIN * max(box.size)))
    picture = np.full((side, side, 3), LAYER_BACKGROUND, np.uint8)
    left, top = (side - box.width) // 2, (side - box.height) // 2
    picture[top : top + box.height, left : left + box.width] = rgb
    return picture


def _array(embedding: object) -> NDArray[np.float32]:
    import torch

    assert isinstance(embedding, torch.Tensor)
    array: NDArray[np.float32] = embedding[0].float().cpu().numpy()
    return array
