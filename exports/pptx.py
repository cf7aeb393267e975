"""PowerPoint: one slide of the canvas's size, layers as pictures, text layers as text boxes.

Captions become alternative texts. A presentation cannot carry its fonts: text boxes name theirs, and who lacks it sees
another one. Coordinates are whole English Metric Units, 9525 to a pixel unless the slide would leave the 1…56
inches that PowerPoint allows; then all is scaled.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.text import MSO_AUTO_SIZE, MSO_VERTICAL_ANCHOR, PP_PARAGRAPH_ALIGNMENT
from pptx.util import Emu, Pt

from exports.formats import FormatOptions
from exports.glyphs import face_of
from exports.labels import alt_text, base_name, layer_name, printable
from exports.srgb import encode_srgb_png
from exports.typesetting import SetText, set_text
from exports.zips import add_file
from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.image import LayeredImage
from layered.sidecar import Sidecar

EMU_PER_PIXEL: Final = 9525
"""At 96 pixels to an inch."""

EMU_PER_POINT: Final = 12_700
SMALLEST_SIDE: Final = 914_400
LARGEST_SIDE: Final = 51_206_400
BLANK_LAYOUT: Final = 6

_ALIGNMENTS: Final = {
    "left": PP_PARAGRAPH_ALIGNMENT.LEFT,
    "center": PP_PARAGRAPH_ALIGNMENT.CENTER,
    "right": PP_PARAGRAPH_ALIGNMENT.RIGHT,
}


@dataclass(frozen=True)
class Pptx:
    """Writes PPTX."""

    options: FormatOptions
    name = "pptx"
    suffix = ".pptx"

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """As `exports.formats.SampleFormat.write`."""
        slide = _Slide(image.canvas, printable(sidecar.whole_caption))
        slide.add_picture(base_name(sidecar), printable(sidecar.base_caption), image.base, Box.canvas(image.canvas))
        warnings = []
        for position, (layer, record) in enumerate(zip(image.layers, sidecar.layers, strict=True)):
            label = layer_name(record, position), alt_text(record)
            if record.kind == "text":
                try:
                    text = set_text(layer, record)
                    slide.add_text(*label, text, layer.box)
                    warnings.append(f"text needs the font {text.family!r} where the file is opened")
                    continue
                except ValueError as error:
                    warnings.append(f"a text is a picture: {error}")
            slide.add_picture(*label, layer.pixels, layer.box)
        slide.save(path)
        return warnings


class _Slide:
    """A presentation of one slide in the making."""

    def __init__(self, canvas: Size, title: str) -> None:
        scale = float(EMU_PER_PIXEL)
        scale = max(scale, SMALLEST_SIDE / min(canvas))
        self._scale = min(scale, LARGEST_SIDE / max(canvas))
        self._presentation = Presentation()
        self._presentation.core_properties.title = title[:255]
        self._presentation.slide_width = self._emu(canvas[0])
        self._presentation.slide_height = self._emu(canvas[1])
        self._shapes: Any = self._presentation.slides.add_slide(self._presentation.slide_layouts[BLANK_LAYOUT]).shapes

    def add_picture(self, name: str, caption: str, pixels: UInt8Array, box: Box) -> None:
        stream = io.BytesIO(encode_srgb_png(pixels))
        shape = self._shapes.add_picture(stream, *(self._emu(value) for value in (box.x0, box.y0, *box.size)))
        _name(shape, name, caption)

    def add_text(self, name: str, caption: str, text: SetText, box: Box) -> None:
        """A text box whose first baseline is that of the layer, as wide as the layer."""
        top = box.y0 + text.lines[0].y - face_of(text.font).ascent * text.size
        height = text.pitch * len(text.lines)
        shape = self._shapes.add_textbox(*(self._emu(value) for value in (box.x0, top, box.width, height)))
        _name(shape, name, caption)
        frame = shape.text_frame
        frame.word_wrap, frame.auto_size = False, MSO_AUTO_SIZE.NONE
        frame.vertical_anchor = MSO_VERTICAL_ANCHOR.TOP
        frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
        for number, line in enumerate(text.lines):
            paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
            paragraph.alignment = _ALIGNMENTS[text.align if len(text.lines) > 1 else "center"]
            if len(text.lines) > 1:
                paragraph.line_spacing = self._points(text.pitch)
            run = paragraph.add_run()
            run.text = line.text
            run.font.name, run.font.size = text.family, self._points(text.size)
            run.font.bold, run.font.italic = text.bold, text.italic
            run.font.color.rgb = RGBColor.from_string(text.color.removeprefix("#").upper())

    def save(self, path: Path) -> None:
        """Writes the file without the time at which it is written."""
        written = io.BytesIO()
        self._presentation.save(written)
        with zipfile.ZipFile(written) as made, zipfile.ZipFile(path, "w") as archive:
            for entry in made.infolist():
                add_file(archive, entry.filename, made.read(entry), packed=not entry.filename.endswith(".png"))

    def _emu(self, pixels: float) -> Emu:
        return Emu(round(pixels * self._scale))

    def _points(self, pixels: float) -> Any:
        return Pt(max(1.0, round(pixels * self._scale / EMU_PER_POINT, 2)))


def _name(shape: Any, name: str, caption: str) -> None:
    shape.name = name
    # python-pptx has no property for the alternative text.
    shape._element.xpath("./*/p:cNvPr")[0].set("descr", caption)
