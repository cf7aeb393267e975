"""Photoshop documents: the base image, above it a group with all layers, uncropped where they overflow the canvas.

The merged preview is the exact whole image. What is known of the sample beside its pixels travels as XMP metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import BlendMode, Resource
from psd_tools.psd.image_resources import ImageResource

from exports.formats import FormatOptions
from exports.labels import LAYERS_GROUP, MERGED_NAME, base_name, layer_name, printable
from exports.srgb import srgb_profile
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar

XMP_NAMESPACE: Final = "urn:layerprism:1"
LARGEST_SIDE: Final = 30_000
"""Pixels on each side of a PSD (Adobe Photoshop File Formats Specification, file header)."""


@dataclass(frozen=True)
class Psd:
    """Writes PSD; `exports.psd_reading.read_psd` reads it."""

    options: FormatOptions
    name = "psd"
    suffix = ".psd"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        if max(image.canvas) > LARGEST_SIDE:
            raise UserError(f"a PSD has at most {LARGEST_SIDE} pixels on each side, the canvas has {max(image.canvas)}")
        document = PSDImage.frompil(_opaque(image.whole()))
        document.create_pixel_layer(_opaque(image.base), name="base image").name = base_name(sidecar)
        group = document.create_group(name=LAYERS_GROUP, blend_mode=BlendMode.PASS_THROUGH)
        for position, (layer, record) in enumerate(zip(image.layers, sidecar.layers, strict=True)):
            pixels = Image.fromarray(np.ascontiguousarray(layer.pixels))
            # Created under an ASCII name: psd-tools encodes the name it is given as Mac Roman.
            created = group.create_pixel_layer(pixels, name="layer", left=layer.box.x0, top=layer.box.y0)
            created.name = layer_name(record, position)
        if image.merged is not None:
            merged = document.create_pixel_layer(_opaque(image.merged), name=MERGED_NAME)
            merged.visible = False
        resources = document.image_resources
        for key, data in ((Resource.ICC_PROFILE, srgb_profile()), (Resource.XMP_METADATA, _xmp(sidecar))):
            resources[key] = ImageResource(key=key, data=data)  # type: ignore[call-arg]
        record = document._record
        # A negative count says that the merged image's fourth channel is transparency and not a spare selection.
        info = record.layer_and_mask_information.layer_info
        assert info is not None
        info.layer_count = -abs(info.layer_count)
        with path.open("wb") as stream:
            # The record, because `PSDImage.save` would replace the exact preview by its own composite.
            record.write(stream)
        return ()


def _opaque(rgb: UInt8Array) -> Image.Image:
    # putalpha instead of an array of four channels: at 8K that is one copy less.
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    picture.putalpha(255)
    return picture


def _xmp(sidecar: Sidecar) -> bytes:
    """An XMP packet (ISO 16684-1) with a description for people and the sidecar for `read_psd`."""
    # Escaped as JSON first: XML cannot hold every character that a caption can.
    stored = sidecar.to_json().decode()
    ascii_only = "".join(character if character.isascii() else _json_escape(character) for character in stored)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lp="{XMP_NAMESPACE}">'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(printable(sidecar.whole_caption))}</rdf:li>'
        f"</rdf:Alt></dc:description><lp:sidecar>{escape(ascii_only)}</lp:sidecar>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))
