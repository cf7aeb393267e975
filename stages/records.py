"""What travels from stage to stage. Images are uint8 arrays; every record names its sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from layered.arrays import Color, Size, UInt8Array
from layered.box import Box
from layered.brief import Brief
from layered.compositing import over_color
from layered.image import LayeredImage
from layered.scores import Score
from layered.sidecar import Sidecar

BASE_IMAGE = -1
"""The `layer_index` of a sample's base image."""


@dataclass(frozen=True)
class Draw:
    """One request to LayerFLUX, fixed by the plan.

    Attributes:
        layer_index: 0 for the lowest foreground layer, -1 for the base image.
        prompt: complete, with style and suffix.
        caption: what the brief says of the layer, without style and suffix.
        size: ``(width, height)`` of the generated image, an aspect bucket.
    """

    sample_id: str
    layer_index: int
    attempt: int
    seed: int
    prompt: str
    caption: str
    size: Size

    def with_attempt(self, attempt: int, seed: int) -> Draw:
        """The same request, drawn again from another seed."""
        return replace(self, attempt=attempt, seed=seed)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What LayerFLUX painted: RGB ``[height, width, 3]`` on a flat background, and who painted it.

    Attributes:
        rgb: of a generator that draws transparency itself, straight RGBA ``[height, width, 4]``.
        batch_shape: (draws in the batch, width, height): results differ with it in the last bits.
    """

    draw: Draw
    rgb: UInt8Array
    batch_shape: tuple[int, int, int]
    model: str
    revision: str
    licence: str

    @property
    def sample_id(self) -> str:
        return self.draw.sample_id

    @property
    def opaque(self) -> UInt8Array:
        """RGB ``[height, width, 3]``, over mid-gray where the generator drew transparency."""
        return without_transparency(self.rgb)


def without_transparency(picture: UInt8Array) -> UInt8Array:
    """RGB as it is, RGBA over mid-gray."""
    return over_color(picture, (128, 128, 128)) if picture.shape[2] == 4 else picture


@dataclass(frozen=True, eq=False)
class Matted:
    """A drawn layer freed from its background: straight RGBA ``[h, w, 4]`` and the colour that was removed."""

    drawn: Drawn
    rgba: UInt8Array
    background: Color

    @property
    def sample_id(self) -> str:
        return self.drawn.sample_id


@dataclass(frozen=True)
class CheckedLayer:
    """The verdict of the layer check on one attempt; `quality` orders the attempts of one layer, higher is better."""

    draw: Draw
    scores: Mapping[str, float]
    passed: bool
    quality: float

    @property
    def sample_id(self) -> str:
        return self.draw.sample_id


@dataclass(frozen=True)
class TextDraw:
    """A text layer to be drawn exactly, as large as its box allows."""

    sample_id: str
    layer_index: int
    text: str
    font: str
    color: str
    box: Box


@dataclass(frozen=True, eq=False)
class TextLayer:
    """A drawn text layer: straight RGBA, trimmed."""

    request: TextDraw
    rgba: UInt8Array

    @property
    def sample_id(self) -> str:
        return self.request.sample_id


@dataclass(frozen=True, eq=False)
class Composition:
    """Everything MultiLayerFLUX needs for one sample; `layers` in index order, lowest first.

    Attributes:
        attempts: every attempt at every layer, also those that were not chosen.
    """

    sample_id: str
    brief: Brief
    base: Drawn
    layers: tuple[Matted | TextLayer, ...]
    attempts: tuple[CheckedLayer, ...]
    provenance: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Composed:
    """A finished sample, before scoring.

    Attributes:
        raws: each generated layer's RGB before matting, by layer index; -1 is the base image as drawn.
        batch_shapes: of each generated layer, as `Drawn` has it.
    """

    sample_id: str
    image: LayeredImage
    sidecar: Sidecar
    raws: Mapping[int, UInt8Array]
    batch_shapes: Mapping[int, tuple[int, int, int]]


@dataclass(frozen=True)
class Scored:
    """All scores of one sample, and features (perceptual hash, embeddings) as bytes by name."""

    sample_id: str
    scores: tuple[Score, ...]
    features: Mapping[str, bytes]
