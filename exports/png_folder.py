"""A layered folder whose PNG files say that they are sRGB; all commands that take a layered folder take it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exports.formats import FormatOptions
from exports.srgb import encode_srgb_png
from layered.codec import (
    BASE_IMAGE_MEMBER,
    MERGED_IMAGE_MEMBER,
    SIDECAR_MEMBER,
    WHOLE_IMAGE_MEMBER,
    layer_member,
)
from layered.image import LayeredImage
from layered.sidecar import Sidecar


@dataclass(frozen=True)
class PngFolder:
    """Writes ``KEY.base_image.png``, ``KEY.layer_00.png`` … and ``KEY.json``."""

    options: FormatOptions
    name = "png"
    suffix = f".{SIDECAR_MEMBER}"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        members = {
            BASE_IMAGE_MEMBER: encode_srgb_png(image.base),
            WHOLE_IMAGE_MEMBER: encode_srgb_png(image.whole()),
        }
        if image.merged is not None:
            members[MERGED_IMAGE_MEMBER] = encode_srgb_png(image.merged)
        records = []
        for position, (layer, record) in enumerate(zip(image.layers, sidecar.layers, strict=True)):
            png = encode_srgb_png(layer.pixels)
            members[layer_member(position)] = png
            records.append(record.model_copy(update={"sha256": hashlib.sha256(png).hexdigest()}))
        for name, data in members.items():
            path.with_suffix(f".{name}").write_bytes(data)
        path.write_bytes(sidecar.model_copy(update={"layers": tuple(records)}).to_json())
        return ()
