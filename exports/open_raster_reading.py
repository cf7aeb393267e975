"""OpenRaster as samples: layers bit for bit; what plain layers cannot say is baked, or refused by name.

Files are read in memory and never unpacked, so no name in the zip can reach the disk.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from psd_tools.composite.blend import get_blend_func
from psd_tools.constants import BlendMode, ColorMode

from exports.baking import Blend, Piece, bake, merged, require_like, require_possible
from exports.formats import Sample
from exports.labels import MERGED_NAME, described
from exports.open_raster import MERGED_FILE, MIMETYPE, SIDECAR_FILE, STACK_FILE
from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.compositing import over_color
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar

MOST_BYTES: Final = 2 * 1024**3
"""Of all files in the zip together, uncompressed."""

PLAIN: Final = "svg:src-over"

_MODES: Final = {
    "svg:multiply": BlendMode.MULTIPLY,
    "svg:screen": BlendMode.SCREEN,
    "svg:overlay": BlendMode.OVERLAY,
    "svg:darken": BlendMode.DARKEN,
    "svg:lighten": BlendMode.LIGHTEN,
    "svg:color-dodge": BlendMode.COLOR_DODGE,
    "svg:color-burn": BlendMode.COLOR_BURN,
    "svg:hard-light": BlendMode.HARD_LIGHT,
    "svg:soft-light": BlendMode.SOFT_LIGHT,
    "svg:difference": BlendMode.DIFFERENCE,
    "svg:color": BlendMode.COLOR,
    "svg:luminosity": BlendMode.LUMINOSITY,
    "svg:hue": BlendMode.HUE,
    "svg:saturation": BlendMode.SATURATION,
}
"""Photoshop's modes have the formulas of W3C's Compositing and Blending, which OpenRaster refers to."""


def read_open_raster(path: Path) -> Sample:
    """An ORA file as a sample; an `exports.formats.Reader`.

    Groups are taken apart where that changes nothing, hidden layers left out; opacity and blend modes are baked.

    Raises:
        UserError: when the file is broken, or holds what cannot be baked; the layer is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reading(path, archive).sample()
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what a broken zip, XML or PNG raises is anybody's guess
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is not an OpenRaster file that can be read: {reason}") from error


class _Reading:
    """One open file."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        total = sum(entry.file_size for entry in archive.infolist())
        if total > MOST_BYTES:
            raise UserError(f"{path} unpacks to {total} bytes; {MOST_BYTES} are possible")
        if self._bytes("mimetype").strip() != MIMETYPE:
            raise UserError(f"{path} is a zip file, but not OpenRaster: its mimetype is another one")

    def sample(self) -> Sample:
        document = self._bytes(STACK_FILE)
        # Neither is part of OpenRaster, and entities can grow without bounds.
        if re.search(rb"<!(DOCTYPE|ENTITY)", document):
            raise UserError(f"{self._path} declares XML entities in {STACK_FILE}, which OpenRaster does not have")
        root = ElementTree.fromstring(document)
        canvas = int(root.attrib["w"]), int(root.attrib["h"])
        sources = {layer.attrib["src"] for layer in root.iter("layer")}
        require_possible(self._path, canvas, [self._size(source) for source in sorted(sources)])
        stack = root.find("stack")
        if stack is None:
            raise UserError(f"{self._path} has no stack of layers in {STACK_FILE}")
        baked = bake(canvas, list(self._members(stack)))
        if MERGED_FILE in self._archive.namelist() and self._size(MERGED_FILE) == canvas:
            require_like(self._path, baked, [over_color(self._picture(MERGED_FILE), (255, 255, 255))])
        stored = self._stored_sidecar()
        image = LayeredImage(baked.image.base, baked.image.layers, self._merged(stack) if stored else None)
        return image, described(self._path, image, baked, stored, {"source_format": "ora"})

    def _members(self, stack: ElementTree.Element) -> Iterator[Piece]:
        """What a stack shows, lowest first."""
        for element in reversed(stack):
            if element.get("visibility", "visible") != "hidden":
                if element.tag == "stack":
                    yield from self._group(element)
                elif element.tag == "layer":
                    yield self._layer(element)
                else:
                    raise UserError(f"{self._path} has a <{element.tag}>, which cannot be read: make it a layer")

    def _group(self, element: ElementTree.Element) -> Iterator[Piece]:
        name, opacity = element.get("name", ""), float(element.get("opacity", "1"))
        if int(element.get("x", "0")) or int(element.get("y", "0")):
            raise UserError(f"{self._path}: group {name!r} is moved, which programs read differently: move its layers")
        blend, mode = self._blend(element)
        members = list(self._members(element))
        mixes = any(piece.blend for piece in members)
        isolated = element.get("isolation", "isolate") == "isolate" or blend is not None or opacity < 1
        if blend is None and opacity >= 1 and not (isolated and mixes):
            yield from members
            return
        note = ", ".join(["group merged", *(["opacity"] if opacity < 1 else []), *([mode] if blend else [])])
        if (piece := merged(name, members, opacity, blend, note)) is not None:
            yield piece

    def _layer(self, element: ElementTree.Element) -> Piece:
        pixels, opacity = self._picture(element.attrib["src"]), float(element.get("opacity", "1"))
        blend, mode = self._blend(element)
        notes = [mode] if blend else []
        if opacity < 1:
            notes.append("opacity")
            pixels[..., 3] = np.rint(pixels[..., 3] * max(0.0, opacity))
        left, top = int(element.get("x", "0")), int(element.get("y", "0"))
        box = Box(left, top, left + pixels.shape[1], top + pixels.shape[0])
        return Piece(element.get("name", ""), pixels, box, blend, note=", ".join(notes))

    def _blend(self, element: ElementTree.Element) -> tuple[Blend | None, str]:
        """How the element mixes with what is below it (None: it covers it), and what that is called."""
        mode = element.get("composite-op", PLAIN)
        if mode == PLAIN:
            return None, ""
        if mode not in _MODES:
            raise UserError(f"{self._path}: {element.get('name', '')!r} has the mode {mode}: merge it, and save again")
        function: Blend = get_blend_func(_MODES[mode], ColorMode.RGB)
        return function, mode.removeprefix("svg:")

    def _merged(self, stack: ElementTree.Element) -> UInt8Array | None:
        """A model's own prediction of the whole, which our files keep as a hidden layer."""
        for element in stack.findall("layer"):
            if element.get("name") == MERGED_NAME and element.get("visibility") == "hidden":
                return np.ascontiguousarray(self._picture(element.attrib["src"])[..., :3])
        return None

    def _stored_sidecar(self) -> Sidecar | None:
        """Our own sidecar; None in files made elsewhere, or where it was damaged."""
        try:
            return Sidecar.from_json(self._archive.read(SIDECAR_FILE))
        except (KeyError, ValueError):
            return None

    def _size(self, name: str) -> Size:
        """Width and height by the header, without decoding."""
        with self._opened(name) as picture:
            return picture.size

    def _picture(self, name: str) -> UInt8Array:
        """Straight RGBA."""
        with self._opened(name) as picture:
            return np.array(picture.convert("RGBA"))

    def _opened(self, name: str) -> Image.Image:
        try:
            return Image.open(io.BytesIO(self._bytes(name)), formats=["PNG"])
        except (Image.DecompressionBombError, SyntaxError, OSError) as error:
            raise UserError(f"{self._path}: {name} is not a PNG that can be read: {error}") from error

    def _bytes(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except KeyError as error:
            raise UserError(f"{self._path} lacks the file {name}") from error
