"""MultiLayerFLUX: matted layers, one by one, onto the boxes of a semantic layout (PrismLayers, arXiv 2505.22523)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.brief import BriefLayer
from layered.image import Layer, LayeredImage
from layered.pixels import resize_rgb
from layered.placing import fit, trim
from layered.png import encode_png
from layered.sidecar import LayerRecord, Sidecar
from stages.item_stage import ItemStage
from stages.records import BASE_IMAGE, CheckedLayer, Composed, Composition, Matted, TextLayer

SCORE_DIGITS = 6
"""Digits after the point in recorded scores: below float32's last bits, so that texts are stable."""


class ComposeConfig(BaseModel):
    """The `compose` section.

    Attributes:
        trim_threshold: alpha (0…255) up to which a layer's rim is cut off before it is fitted into its box.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    trim_threshold: int = Field(12, ge=0, le=254)


class MultiLayerFlux(ItemStage[Composition, Composed]):
    """Places layers in index order, lowest first; what overflows the canvas stays uncropped in the layer."""

    name = "multi_layer_flux"

    def __init__(self, config: ComposeConfig) -> None:
        self._config = config

    def process_item(self, item: Composition) -> Composed:
        """Composes a sample. Raises ValueError, naming the layer, when nothing of a layer is visible."""
        placed = tuple(
            place_layer(index, layer, wanted.placed_box(), self._config)
            for index, (layer, wanted) in enumerate(zip(item.layers, item.brief.layers, strict=True))
        )
        drawn = {index: layer.drawn for index, layer in enumerate(item.layers) if isinstance(layer, Matted)}
        drawn[BASE_IMAGE] = item.base
        return Composed(
            sample_id=item.sample_id,
            image=LayeredImage(cover(item.base.opaque, item.brief.canvas), placed),
            sidecar=describe(item, placed),
            raws={index: each.rgb for index, each in drawn.items()},
            batch_shapes={index: each.batch_shape for index, each in drawn.items()},
        )


def cover(rgb: UInt8Array, canvas: Size) -> UInt8Array:
    """A picture scaled to cover a canvas of ``(width, height)``, its middle cut out."""
    height, width = rgb.shape[:2]
    scale = max(canvas[0] / width, canvas[1] / height)
    size = max(canvas[0], round(width * scale)), max(canvas[1], round(height * scale))
    left, top = (size[0] - canvas[0]) // 2, (size[1] - canvas[1]) // 2
    scaled = resize_rgb(rgb, size)
    return np.ascontiguousarray(scaled[top : top + canvas[1], left : left + canvas[0]])


def place_layer(index: int, layer: Matted | TextLayer, into: Box, config: ComposeConfig) -> Layer:
    """A layer in its box: pictures trimmed and fitted with their aspect kept, texts, which have their size, centred.

    Raises:
        ValueError: when nothing is visible.
    """
    if isinstance(layer, TextLayer):
        height, width = layer.rgba.shape[:2]
        left, top = into.x0 + (into.width - width) // 2, into.y0 + (into.height - height) // 2
        return Layer(layer.rgba, Box(left, top, left + width, top + height))
    try:
        return Layer(*fit(trim(layer.rgba, config.trim_threshold), into))
    except ValueError as error:
        raise ValueError(f"layer {index} ({layer.drawn.draw.caption!r}): {error}") from error


def describe(item: Composition, placed: Sequence[Layer]) -> Sidecar:
    """Everything that is known of a sample; scores and decisions come later."""
    brief, base = item.brief, item.base
    records = tuple(
        describe_layer(index, wanted, layer, at)
        for index, (wanted, layer, at) in enumerate(zip(brief.layers, item.layers, placed, strict=True))
    )
    of_base = {
        "base_seed": str(base.draw.seed),
        "base_model": base.model,
        "base_revision": base.revision,
        "base_licence": base.licence,
    }
    return Sidecar(
        id=item.sample_id,
        canvas=brief.canvas,
        style_category=brief.style,
        whole_caption=brief.whole_caption,
        base_caption=brief.base_caption,
        layer_count=len(records),
        layers=records,
        # What a sample brings along wins: composed again, it keeps how it was drawn.
        provenance={**of_base, "attempts": describe_attempts(item.attempts), **item.provenance},
    )


def describe_attempts(attempts: Sequence[CheckedLayer]) -> str:
    """All attempts at all layers as JSON, those that were not chosen included."""
    rows = [
        {
            "layer": check.draw.layer_index,
            "attempt": check.draw.attempt,
            "seed": check.draw.seed,
            "passed": check.passed,
            "quality": round(check.quality, SCORE_DIGITS),
            "scores": {name: round(score, SCORE_DIGITS) for name, score in sorted(check.scores.items())},
        }
        for check in attempts
    ]
    return json.dumps(rows, separators=(",", ":"))


def describe_layer(index: int, wanted: BriefLayer, layer: Matted | TextLayer, placed: Layer) -> LayerRecord:
    """What is known of one layer: what was wanted, where it stands, and who drew it."""
    common = {
        "index": index,
        "kind": wanted.kind,
        "box": placed.box.as_list(),
        "layout_box": wanted.box,
        "sha256": hashlib.sha256(encode_png(placed.pixels)).hexdigest(),
    }
    if isinstance(layer, TextLayer):
        request = layer.request
        drawn = {
            "caption": wanted.caption or f'the text "{request.text}"',
            "seed": 0,
            "attempt": 0,
            "model": "font",
            "revision": "",
            "licence": "",
            "text": request.text,
            "font": request.font,
            "color": request.color,
        }
    else:
        draw = layer.drawn.draw
        drawn = {
            "caption": draw.caption,
            "seed": draw.seed,
            "attempt": draw.attempt,
            "model": layer.drawn.model,
            "revision": layer.drawn.revision,
            "licence": layer.drawn.licence,
        }
    return LayerRecord.model_validate(common | drawn)
