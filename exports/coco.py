"""Boxes and masks as COCO JSON (https://cocodataset.org/#format-data), for detection and segmentation tools.

Each sample gives ``KEY.png``, its whole image, and ``KEY.coco.json``; ``instances.json`` is all of them as one set.
Every layer that can be seen is one annotation. Its ``segmentation``, ``bbox`` and ``area`` are of what is seen, as in
COCO; ``amodal_segmentation`` and ``amodal_bbox`` are of all that is on the canvas, also under other layers. Masks are
COCO's compressed run lengths. Categories are the kinds of layers; what a layer shows stands in its ``caption``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from exports.formats import FormatOptions
from exports.srgb import encode_srgb_png
from layered.arrays import FloatArray
from layered.box import Box
from layered.image import LayeredImage
from layered.sidecar import LayerRecord, Sidecar

SET_FILE: Final = "instances.json"

LEAST_SHARE: Final = 0.1
"""A pixel belongs to a layer from this share of its colour on: glass and smoke are rarely half opaque."""

CATEGORIES: Final = ({"id": 1, "name": "image"}, {"id": 2, "name": "text"})


@dataclass(frozen=True)
class Coco:
    """Writes COCO JSON."""

    options: FormatOptions
    name = "coco"
    suffix = ".coco.json"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        picture = path.with_name(path.name.removesuffix(self.suffix) + ".png")
        picture.write_bytes(encode_srgb_png(image.whole()))
        described = {
            "id": 1,
            "file_name": picture.name,
            "width": image.canvas[0],
            "height": image.canvas[1],
            "caption": sidecar.whole_caption,
            "style": sidecar.style_category,
        }
        annotations = [
            {"id": number, "image_id": 1, **annotation}
            for number, annotation in enumerate(_annotations(image, sidecar.layers), start=1)
        ]
        path.write_text(_document([described], annotations), encoding="utf-8")
        hidden = len(image.layers) - len(annotations)
        return [f"{hidden} layers cannot be seen and are left out"] if hidden else []

    def sum_up(self, folder: Path) -> None:
        """As `exports.formats.SummedFormat.sum_up`; one sample is in memory at a time."""
        files = sorted(file for file in folder.glob(f"*{self.suffix}") if not file.name.startswith("."))
        temporary = folder / f".{SET_FILE}.part"
        head, end = _document([], []).split('"images":[],"annotations":[]')
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(f'{head}"images":[')
            for number, document in enumerate(_documents(files), start=1):
                stream.write(("," if number > 1 else "") + json.dumps({**document["images"][0], "id": number}))
            stream.write('],"annotations":[')
            count = 0
            for number, document in enumerate(_documents(files), start=1):
                for annotation in document["annotations"]:
                    count += 1
                    numbered = {**annotation, "id": count, "image_id": number}
                    stream.write(("," if count > 1 else "") + json.dumps(numbered))
            stream.write(f"]{end}")
        temporary.replace(folder / SET_FILE)


def _annotations(image: LayeredImage, records: Sequence[LayerRecord]) -> Iterator[dict[str, Any]]:
    canvas = Box.canvas(image.canvas)
    uncovered = np.ones((canvas.height, canvas.width), np.float32)
    found = []
    # From the top: what is above decides how much of a layer is seen.
    for layer, record in zip(reversed(image.layers), reversed(records), strict=True):
        seen = layer.box.intersection(canvas)
        if seen is None:
            continue
        inside = seen.shifted(-layer.box.x0, -layer.box.y0).pixels()
        alpha: FloatArray = layer.pixels[inside][..., 3].astype(np.float32) / np.float32(255)
        share = alpha * uncovered[seen.pixels()]
        uncovered[seen.pixels()] *= 1 - alpha
        visible, whole = _placed(share >= LEAST_SHARE, seen, canvas), _placed(alpha >= LEAST_SHARE, seen, canvas)
        if visible.any():
            found.append(_annotation(record, visible, whole))
    yield from reversed(found)


def _annotation(record: LayerRecord, visible: NDArray[np.bool_], whole: NDArray[np.bool_]) -> dict[str, Any]:
    mask, amodal = _run_lengths(visible), _run_lengths(whole)
    return {
        "category_id": 2 if record.kind == "text" else 1,
        "segmentation": _readable(mask),
        "bbox": [float(value) for value in coco_mask.toBbox(mask)],
        "area": int(coco_mask.area(mask)),
        "iscrowd": 0,
        "amodal_segmentation": _readable(amodal),
        "amodal_bbox": [float(value) for value in coco_mask.toBbox(amodal)],
        "layer_index": record.index,
        "layer_box": list(record.box),
        "caption": record.caption,
        "text": record.text,
    }


def _placed(mask: NDArray[np.bool_], box: Box, canvas: Box) -> NDArray[np.bool_]:
    placed = np.zeros((canvas.height, canvas.width), np.bool_)
    placed[box.pixels()] = mask
    return placed


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded


def _readable(encoded: Mapping[str, Any]) -> dict[str, Any]:
    """Run lengths as JSON can hold them."""
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def _documents(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    return (json.loads(file.read_text(encoding="utf-8")) for file in files)


def _document(images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]) -> str:
    content = {"info": {"description": "LayerPrism"}, "licenses": [], "images": images, "annotations": annotations}
    return json.dumps({**content, "categories": CATEGORIES}, separators=(",", ":"))
