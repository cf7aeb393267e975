"""The samples that a report shows: their captions, and their pictures as they lie in the chunks."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from layered.arrays import UInt8Array
from layered.codec import SIDECAR_MEMBER
from layered.image import LayeredImage
from layered.rendering import encode_webp
from layered.scores import WHOLE_IMAGE, Score
from layered.sidecar import LayerRecord, Sidecar
from ledger.commit import thumbnail_member
from ledger.index import RunIndex
from ledger.selection import LeftOut, Selected, Selection, flagged

Item = TypeVar("Item")
EXPLODED_SIDE = 640
"""Longest side of the whole image of a sample that is taken apart."""


@dataclass(frozen=True)
class LayerCard:
    """One layer of a shown sample; `thumbnail` is WebP with transparency."""

    index: int
    caption: str
    thumbnail: bytes


@dataclass(frozen=True)
class SampleCard:
    """One shown sample.

    Attributes:
        thumbnail: the whole image as WebP.
        layers: lowest first; without those that are not published.
        reason: why it is not published, in a word or two; empty for a published sample.
        detail: why, for people.
        culprit: the layer that a filter flagged first, where one did.
    """

    sample_id: str
    style: str
    canvas: tuple[int, int]
    caption: str
    base_caption: str
    thumbnail: bytes
    layers: tuple[LayerCard, ...]
    reason: str = ""
    detail: str = ""
    culprit: LayerCard | None = None


@dataclass(frozen=True, eq=False)
class ExplodedSample:
    """A sample to be taken apart; `whole` and `base` are WebP, larger than thumbnails."""

    card: SampleCard
    image: LayeredImage
    sidecar: Sidecar
    whole: bytes
    base: bytes


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items from all over a sequence, in its order."""
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def gallery(index: RunIndex, selection: Selection, count: int) -> list[SampleCard]:
    """Published samples from all over the run, then, where room is left, finished samples that are not published."""
    published = spread(selection.published, count)
    others = spread(_finished(selection), count - len(published))
    return [published_card(index, selected) for selected in published] + [
        left_out_card(index, left_out, {}) for left_out in others
    ]


def reject_gallery(
    index: RunIndex, selection: Selection, thresholds: Mapping[str, float], count: int
) -> list[SampleCard]:
    """Finished samples that are not published, from all over the run."""
    return [left_out_card(index, left_out, thresholds) for left_out in spread(_finished(selection), count)]


def exploded_samples(index: RunIndex, selection: Selection, count: int) -> list[ExplodedSample]:
    """Published samples from all over the run that are published as they were made."""
    complete = [selected for selected in selection.published if not selected.dropped_layers]
    samples = []
    for selected in spread(complete, count):
        image, sidecar = index.sample(selected.sample_id)
        whole, base = encode_webp(image.whole(), EXPLODED_SIDE), encode_webp(image.base)
        samples.append(ExplodedSample(published_card(index, selected), image, sidecar, whole, base))
    return samples


def published_card(index: RunIndex, selected: Selected) -> SampleCard:
    """A sample as it is published: with people's captions, without the layers they rejected."""
    card = _card(index, selected.sample_id)
    thumbnail = card.thumbnail
    if selected.dropped_layers:
        image, _ = index.sample(selected.sample_id)
        thumbnail = encode_webp(image.without(selected.dropped_layers).whole())
    layers = tuple(
        LayerCard(layer.index, selected.layer_captions.get(layer.index, layer.caption), layer.thumbnail)
        for layer in card.layers
        if layer.index not in selected.dropped_layers
    )
    caption = selected.whole_caption or card.caption
    return SampleCard(**{**vars(card), "thumbnail": thumbnail, "layers": layers, "caption": caption})


def left_out_card(index: RunIndex, left_out: LeftOut, thresholds: Mapping[str, float]) -> SampleCard:
    """A finished sample and why it is not published."""
    card = _card(index, left_out.sample_id)
    culprit = None
    if left_out.reason == "flagged":
        flag = _first_flag(left_out, flagged(index.record(left_out.sample_id).scores, thresholds))
        culprit = next((layer for layer in card.layers if flag and layer.index == flag.layer_index), None)
    return SampleCard(**{**vars(card), "reason": left_out.reason, "detail": left_out.detail, "culprit": culprit})


def decode_thumbnail(data: bytes) -> UInt8Array:
    """WebP bytes as RGB or RGBA."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


def _card(index: RunIndex, sample_id: str) -> SampleCard:
    record = index.record(sample_id)
    names = [SIDECAR_MEMBER, *(thumbnail_member(layer) for layer in range(WHOLE_IMAGE, record.layer_count))]
    members = index.sample_members(sample_id, names)
    sidecar = Sidecar.from_json(members[SIDECAR_MEMBER])
    return SampleCard(
        sample_id=sample_id,
        style=sidecar.style_category,
        canvas=sidecar.canvas,
        caption=sidecar.whole_caption,
        base_caption=sidecar.base_caption,
        thumbnail=members[thumbnail_member(WHOLE_IMAGE)],
        layers=tuple(
            LayerCard(layer.index, _caption(layer), members[thumbnail_member(position)])
            for position, layer in enumerate(sidecar.layers)
        ),
    )


def _caption(layer: LayerRecord) -> str:
    return layer.caption or (f"“{layer.text}”" if layer.text else "")


def _finished(selection: Selection) -> list[LeftOut]:
    return [left_out for left_out in selection.left_out if left_out.reason != "failed"]


def _first_flag(left_out: LeftOut, flags: Sequence[Score]) -> Score | None:
    """The first flag that the selection speaks of: it knows which layers people have kept."""
    return next((flag for flag in flags if f"{flag.name} of layer {flag.layer_index} " in left_out.detail), None)
