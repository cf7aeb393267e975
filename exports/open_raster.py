"""OpenRaster, the open exchange format of Krita, GIMP and MyPaint: a zip of PNG files and one XML file.

Follows https://www.openraster.org (baseline, version 0.0.5). What is known of the sample beside its pixels lies in the
zip as ``layerprism.json``, which other programs leave alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from exports.formats import FormatOptions
from exports.labels import LAYERS_GROUP, MERGED_NAME, base_name, layer_name
from exports.srgb import encode_srgb_png
from exports.zips import add_file
from layered.image import LayeredImage
from layered.rendering import contained
from layered.sidecar import Sidecar

MIMETYPE: Final = b"image/openraster"
SIDECAR_FILE: Final = "layerprism.json"
STACK_FILE: Final = "stack.xml"
MERGED_FILE: Final = "mergedimage.png"
THUMBNAIL_FILE: Final = "Thumbnails/thumbnail.png"
THUMBNAIL_SIDE: Final = 256


@dataclass(frozen=True)
class OpenRaster:
    """Writes ORA; `exports.open_raster_reading.read_open_raster` reads it."""

    options: FormatOptions
    name = "ora"
    suffix = ".ora"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        whole = image.whole()
        with zipfile.ZipFile(path, "w") as archive:
            # First and stored, so that the kind of file stands at a fixed place.
            add_file(archive, "mimetype", MIMETYPE, packed=False)
            add_file(archive, STACK_FILE, _stack(image, sidecar), packed=True)
            add_file(archive, "data/base.png", encode_srgb_png(image.base), packed=False)
            for position, layer in enumerate(image.layers):
                add_file(archive, f"data/layer{position:03d}.png", encode_srgb_png(layer.pixels), packed=False)
            if image.merged is not None:
                add_file(archive, "data/merged.png", encode_srgb_png(image.merged), packed=False)
            add_file(archive, MERGED_FILE, encode_srgb_png(whole), packed=False)
            add_file(
                archive,
                THUMBNAIL_FILE,
                encode_srgb_png(contained(whole, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))),
                packed=False,
            )
            add_file(archive, SIDECAR_FILE, sidecar.to_json(), packed=True)
        return ()


def _stack(image: LayeredImage, sidecar: Sidecar) -> bytes:
    """``stack.xml``: the uppermost first."""
    width, height = image.canvas
    root = ElementTree.Element("image", version="0.0.5", w=str(width), h=str(height), xres="72", yres="72")
    stack = ElementTree.SubElement(root, "stack")
    if image.merged is not None:
        _layer(stack, MERGED_NAME, "data/merged.png", 0, 0, visible=False)
    group = ElementTree.SubElement(stack, "stack", name=LAYERS_GROUP, x="0", y="0")
    placed = list(enumerate(zip(image.layers, sidecar.layers, strict=True)))
    for position, (layer, record) in reversed(placed):
        name = layer_name(record, position)
        _layer(group, name, f"data/layer{position:03d}.png", layer.box.x0, layer.box.y0)
    _layer(stack, base_name(sidecar), "data/base.png", 0, 0)
    written: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _layer(stack: ElementTree.Element, name: str, source: str, x: int, y: int, visible: bool = True) -> None:
    attributes = {"name": name, "src": source, "x": str(x), "y": str(y), "opacity": "1.0"}
    shown = "visible" if visible else "hidden"
    ElementTree.SubElement(stack, "layer", {**attributes, "visibility": shown, "composite-op": "svg:src-over"})
