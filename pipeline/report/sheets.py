"""The pictures of a report that can be shown by themselves: contact sheet, samples taken apart, reject gallery."""

from __future__ import annotations

from collections.abc import Sequence

from layered.arrays import UInt8Array
from layered.rendering import contact_sheet
from pipeline.exploded_view import exploded_view, stacked
from pipeline.report.gallery import ExplodedSample, SampleCard, decode_thumbnail
from pipeline.report.wording import counted


def draw_contact_sheet(cards: Sequence[SampleCard]) -> UInt8Array:
    """Whole images with id, style and number of layers; those that are not published say so instead. RGB."""
    captions = [f"{card.sample_id} · {card.reason or _described(card)}" for card in cards]
    tiles = [decode_thumbnail(card.thumbnail) for card in cards]
    return contact_sheet(tiles, min(8, len(cards)), (160, 160), captions)


def draw_layers(samples: Sequence[ExplodedSample]) -> UInt8Array:
    """Samples taken apart, one below the other. RGB."""
    return stacked([exploded_view(sample.image, sample.sidecar) for sample in samples])


def draw_rejected(cards: Sequence[SampleCard]) -> UInt8Array:
    """The layer that a filter flagged, or the whole image, with the reason. RGB."""
    tiles = [decode_thumbnail(card.culprit.thumbnail if card.culprit else card.thumbnail) for card in cards]
    captions = [f"{card.sample_id}: {card.detail or card.reason}" for card in cards]
    return contact_sheet(tiles, min(4, len(cards)), (296, 160), captions)


def _described(card: SampleCard) -> str:
    return f"{card.style} · {counted(len(card.layers), 'layer')}"
