"""SVG: layers as embedded pictures, text layers as text with the needed glyphs of its font, or as outlines.

Every layer is a group that Inkscape shows as a layer, with its caption as title. What is known of the sample beside its
pixels stands in ``<metadata>``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from exports.formats import FormatOptions
from exports.glyphs import face_of
from exports.labels import alt_text, base_name, layer_name, printable
from exports.srgb import encode_srgb_png
from exports.typesetting import SetText, set_text
from layered.arrays import UInt8Array
from layered.box import Box
from layered.image import LayeredImage
from layered.sidecar import Sidecar

SVG: Final = "http://www.w3.org/2000/svg"
XLINK: Final = "http://www.w3.org/1999/xlink"
INKSCAPE: Final = "http://www.inkscape.org/namespaces/inkscape"


@dataclass(frozen=True)
class Svg:
    """Writes SVG 1.1."""

    options: FormatOptions
    name = "svg"
    suffix = ".svg"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        drawing = _Drawing(sidecar, self.options.outlines)
        drawing.add_picture("base", base_name(sidecar), sidecar.base_caption, image.base, Box.canvas(image.canvas))
        warnings = []
        for position, (layer, record) in enumerate(zip(image.layers, sidecar.layers, strict=True)):
            label = f"layer{position:02d}", layer_name(record, position), alt_text(record)
            if record.kind == "text":
                try:
                    drawing.add_text(*label, set_text(layer, record), layer.box)
                    continue
                except ValueError as error:
                    warnings.append(f"a text is a picture: {error}")
            drawing.add_picture(*label, layer.pixels, layer.box)
        path.write_bytes(drawing.finished())
        return warnings


class _Drawing:
    """An SVG document in the making."""

    def __init__(self, sidecar: Sidecar, outlines: bool) -> None:
        width, height = (str(side) for side in sidecar.canvas)
        self._outlines = outlines
        self._root = ElementTree.Element("svg", version="1.1", width=width, height=height)
        self._root.set("xmlns", SVG)
        self._root.set("xmlns:xlink", XLINK)
        self._root.set("xmlns:inkscape", INKSCAPE)
        self._root.set("viewBox", f"0 0 {width} {height}")
        _titled(self._root, sidecar.whole_caption)
        ElementTree.SubElement(self._root, "metadata").text = printable(sidecar.to_json().decode())
        self._style = ElementTree.SubElement(self._root, "style")
        self._fonts: dict[Path, _Embedded] = {}

    def add_picture(self, name: str, label: str, caption: str, pixels: UInt8Array, box: Box) -> None:
        group = self._layer(name, label, caption)
        place = {"x": box.x0, "y": box.y0, "width": box.width, "height": box.height}
        element = ElementTree.SubElement(group, "image", {key: str(value) for key, value in place.items()})
        element.set("preserveAspectRatio", "none")
        element.set("xlink:href", _data_url("image/png", encode_srgb_png(pixels)))

    def add_text(self, name: str, label: str, caption: str, text: SetText, box: Box) -> None:
        """Raises ValueError when the font's licence forbids to embed it."""
        face = face_of(text.font)
        if self._outlines:
            group = self._layer(name, label, caption)
            for line in text.lines:
                starts = [box.x0 + start for start in line.starts]
                outline = face.outline(line.text, starts, box.y0 + line.y, text.size)
                ElementTree.SubElement(group, "path", d=outline, fill=text.color)
            return
        if not face.may_be_embedded:
            raise ValueError(f"the licence of {text.family} forbids to embed it; --outlines draws its shapes")
        font = self._fonts.setdefault(text.font, _Embedded(f"embedded-{len(self._fonts)}", text.bold, text.italic))
        font.characters.update(*(line.text for line in text.lines))
        group = self._layer(name, label, caption)
        element = ElementTree.SubElement(group, "text", fill=text.color)
        element.set("xml:space", "preserve")
        # The embedded face has its own name, so that another version of the font on the machine cannot stand in.
        element.set("font-family", f"'{font.name}', '{text.family}'")
        element.set("font-size", _number(text.size))
        element.set("font-weight", "bold" if text.bold else "normal")
        element.set("font-style", "italic" if text.italic else "normal")
        for line in text.lines:
            span = ElementTree.SubElement(element, "tspan", y=_number(box.y0 + line.y))
            span.set("x", " ".join(_number(box.x0 + start) for start in line.starts))
            span.text = line.text

    def finished(self) -> bytes:
        self._style.text = "".join(
            f"@font-face{{font-family:'{font.name}';{font.css()}"
            f"src:url({_data_url('font/woff', face_of(path).subset(sorted(font.characters)))})format('woff')}}"
            for path, font in self._fonts.items()
        )
        written: bytes = ElementTree.tostring(self._root, encoding="UTF-8", xml_declaration=True)
        return written

    def _layer(self, name: str, label: str, caption: str) -> ElementTree.Element:
        group = ElementTree.SubElement(self._root, "g", id=name)
        group.set("inkscape:groupmode", "layer")
        group.set("inkscape:label", label)
        _titled(group, caption)
        return group


@dataclass
class _Embedded:
    """A font in the document: what it is called there, its style, the characters that are needed."""

    name: str
    bold: bool
    italic: bool
    characters: set[str] = field(default_factory=set)

    def css(self) -> str:
        weight, style = "bold" if self.bold else "normal", "italic" if self.italic else "normal"
        return f"font-weight:{weight};font-style:{style};"


def _titled(element: ElementTree.Element, caption: str) -> None:
    if shown := printable(caption):
        ElementTree.SubElement(element, "title").text = shown


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
