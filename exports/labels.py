"""What the parts of a sample are called in a layers panel, and what such names tell about a file made elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exports.baking import Baked, Piece
from layered.image import Layer, LayeredImage
from layered.sidecar import LayerRecord, Sidecar

LAYERS_GROUP: Final = "layers"
"""The group that holds a sample's layers."""

MERGED_NAME: Final = "merged image"
"""The hidden layer that holds a model's own prediction of the whole."""

LONGEST_NAME: Final = 255
"""Characters that a PSD's layer name can hold."""

CAPTION_SOURCE: Final = "caption_source"
"""Key of the provenance that says where captions come from; unset for captions of a run."""

LAYER_NAMES: Final = "layer names"
"""The `CAPTION_SOURCE` of a file that brought no captions but its layers' names."""

# XML 1.0 cannot hold these, whatever the escape; layers panels show none of them.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


def printable(text: str) -> str:
    """The text on one line, without control characters."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def base_name(sidecar: Sidecar) -> str:
    """What the base image is called."""
    return _shortened(printable(sidecar.base_caption) or "base image")


def layer_name(record: LayerRecord, position: int) -> str:
    """What a layer is called: its caption, else its text, else its position from below."""
    return _shortened(printable(record.caption) or printable(record.text) or f"layer {position}")


def alt_text(record: LayerRecord) -> str:
    """What a screen reader says of a layer: its caption, else its text; empty when neither is known."""
    return printable(record.caption) or printable(record.text)


def described(path: Path, image: LayeredImage, baked: Baked, stored: Sidecar | None, facts: dict[str, str]) -> Sidecar:
    """What is known of a sample that was read from a file.

    Args:
        path: the file; its name becomes the id of a sample that brought none.
        image: what was read.
        baked: what the image was made of; its pieces have the file's names.
        stored: the sidecar that was stored in the file. Somebody may have changed the file since: a record holds for a
            layer as long as the layer has its name.
        facts: goes into the provenance of what did not come from us.
    """
    known = stored if stored is not None and stored.canvas == image.canvas else None
    unused = [(layer_name(record, position), record) for position, record in enumerate(known.layers if known else ())]
    records, matched = [], []
    for position, (layer, piece) in enumerate(zip(image.layers, baked.pieces, strict=True)):
        match = next((each for each in unused if each[0] == piece.name), None)
        if match is not None:
            unused.remove(match)
            matched.append(match[1])
        records.append(_record(position, layer, piece, match[1] if match is not None else None))
    if known is not None and not unused and len(matched) == len(records):
        # An index tells where a layer stood once; in another order it would tell something wrong.
        kept = records if tuple(matched) == known.layers else _renumbered(records)
        return known.model_copy(update={"layers": tuple(kept)})
    base_caption = known.base_caption if known else baked.base_name
    captions = [base_caption, *(record.caption or record.text for record in records)]
    return Sidecar(
        id=known.id if known else sample_id_of(path),
        canvas=image.canvas,
        style_category=known.style_category if known else "",
        whole_caption=", ".join(caption for caption in captions if caption),
        base_caption=base_caption,
        layer_count=len(records),
        layers=tuple(_renumbered(records)),
        provenance={**(known.provenance if known else {}), **facts, **baked.notes(), CAPTION_SOURCE: LAYER_NAMES},
    )


def sample_id_of(path: Path) -> str:
    """A sample id made of a file's name."""
    return re.sub(r"[^a-z0-9_]+", "-", path.stem.lower()).strip("-")[:80] or "sample"


def _record(position: int, layer: Layer, piece: Piece, known: LayerRecord | None) -> LayerRecord:
    record = LayerRecord.of_layer(position, layer, piece.name, text=piece.text)
    if known is not None:
        return known.model_copy(update={"box": record.box, "sha256": record.sha256})
    return record


def _renumbered(records: Sequence[LayerRecord]) -> list[LayerRecord]:
    return [record.model_copy(update={"index": position}) for position, record in enumerate(records)]


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
