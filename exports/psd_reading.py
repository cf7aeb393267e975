"""Photoshop documents as samples: layers bit for bit; what plain layers cannot say is baked, or refused by name."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from PIL import ImageCms
from psd_tools import PSDImage
from psd_tools.api.layers import AdjustmentLayer, Group, Layer, TypeLayer
from psd_tools.composite import composite
from psd_tools.composite.blend import get_blend_func
from psd_tools.compression import PSDDecompressionWarning
from psd_tools.constants import BlendMode, ColorMode, Resource

from exports.baking import Blend, Piece, bake, require_like, require_possible
from exports.formats import Sample
from exports.labels import MERGED_NAME, described
from exports.psd import XMP_NAMESPACE
from layered.arrays import UInt8Array
from layered.box import Box
from layered.compositing import over_color
from layered.errors import UserError
from layered.image import LayeredImage
from layered.pixels import round_to_uint8
from layered.placing import alpha_box
from layered.sidecar import Sidecar

MOST_BYTES: Final = 4 * 1024**3
"""That one step of decoding may take."""

_REFUSED_MODES: Final = (BlendMode.DISSOLVE,)


def read_psd(path: Path) -> Sample:
    """A PSD as a sample; an `exports.formats.Reader`.

    Groups are taken apart where that changes nothing, hidden layers left out. Blend modes, masks, clipped layers,
    effects and opacity are baked, so that the whole image equals the file's preview within 2/255.

    Raises:
        UserError: when the file is broken, is not RGB with 8 bits, or holds what cannot be baked; the layer is named.
    """
    with warnings.catch_warnings():
        # A channel that cannot be decoded would silently become black.
        warnings.simplefilter("error", PSDDecompressionWarning)
        try:
            return _read(path)
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        except Exception as error:  # what a broken file makes a parser raise is anybody's guess
            raise UserError(f"{path} is not a PSD that can be read: {' '.join(str(error).split())[:200]}") from error


def _read(path: Path) -> Sample:
    document = PSDImage.open(path, max_alloc_bytes=MOST_BYTES)
    if document.color_mode != ColorMode.RGB or document.depth != 8:
        kind = f"{document.color_mode.name} with {document.depth} bits"
        raise UserError(f"{path} is {kind}: convert it to RGB with 8 bits a channel")
    leaves = list(document.descendants())
    require_possible(path, document.size, [leaf.size for leaf in leaves if not leaf.is_group()])
    stored = _stored_sidecar(document)
    pieces = [piece for layer in document for piece in _pieces(layer, path)]
    previews = _previews(document)
    if not leaves:
        flat = previews[-1]
        pieces = [Piece("", np.dstack([flat, np.full_like(flat[..., 0], 255)]), Box.canvas(document.size))]
    baked = bake(document.size, pieces)
    if document.has_preview():
        require_like(path, baked, previews)
    image = LayeredImage(baked.image.base, baked.image.layers, _merged(document) if stored else None)
    return image, described(path, image, baked, stored, {"source_format": "psd", **_profile(document)})


def _pieces(layer: Layer, path: Path) -> Iterator[Piece]:
    """A layer or group of the document as pieces, lowest first. A clipped layer goes with the one it is clipped to."""
    if not layer.visible or layer.clipping:
        return
    if isinstance(layer, AdjustmentLayer):
        raise UserError(f"{path}: {layer.name!r} is an adjustment layer ({layer.kind}): merge it down, and save again")
    if layer.blend_mode in _REFUSED_MODES:
        raise UserError(f"{path}: {layer.name!r} has the mode {layer.blend_mode.name}, which is noise: rasterise it")
    reasons = _reasons(layer)
    if isinstance(layer, Group):
        mixing = [child for child in layer.descendants() if child.visible and _mixes(child)]
        is_plain = layer.blend_mode == BlendMode.PASS_THROUGH or (layer.blend_mode == BlendMode.NORMAL and not mixing)
        if is_plain and not reasons:
            for child in layer:
                yield from _pieces(child, path)
            return
        if mixing and layer.blend_mode == BlendMode.PASS_THROUGH:
            raise UserError(
                f"{path}: group {layer.name!r} has {', '.join(reasons)}, and {mixing[0].name!r} in it mixes with what "
                f"is below the group ({mixing[0].blend_mode.name}): merge the group, and save again"
            )
        reasons.append("group merged")
    blend = _blend(layer)
    text = layer.text.replace("\r", "\n").strip("\x00") if isinstance(layer, TypeLayer) else ""
    if not reasons and not layer.is_group():
        pixels = _stored_pixels(layer)
        if pixels is not None:
            note = layer.blend_mode.name.lower() if blend else ""
            yield Piece(layer.name, pixels, Box(*layer.bbox), blend, text, note)
            return
        if layer.has_pixels() or not _draws_itself(layer):
            return  # nothing was ever painted on it
    rendered = _rendered(layer)
    if rendered is not None:
        if layer.blend_mode not in (BlendMode.NORMAL, BlendMode.PASS_THROUGH):
            reasons.append(layer.blend_mode.name.lower())
        yield Piece(layer.name, *rendered, blend, text, ", ".join(reasons) or layer.kind)


def _reasons(layer: Layer) -> list[str]:
    """What keeps a layer's stored pixels from being what is seen."""
    found = []
    if layer.opacity < 255 or layer.fill_opacity < 255:
        found.append("opacity")
    if layer.has_mask() and layer.mask is not None and not layer.mask.disabled:
        found.append("mask")
    if layer.has_vector_mask():
        found.append("vector mask")
    if layer.has_clip_layers(visible=True):
        found.append("clipped layers")
    if layer.has_effects():
        found.append("effects")
    return found


def _mixes(layer: Layer) -> bool:
    """Whether a layer looks at what lies below it."""
    return isinstance(layer, AdjustmentLayer) or layer.blend_mode not in (BlendMode.NORMAL, BlendMode.PASS_THROUGH)


def _blend(layer: Layer) -> Blend | None:
    if layer.blend_mode in (BlendMode.NORMAL, BlendMode.PASS_THROUGH):
        return None
    function: Blend = get_blend_func(layer.blend_mode, ColorMode.RGB)
    return function


def _draws_itself(layer: Layer) -> bool:
    """Whether a layer without pixels shows something: fills and shapes."""
    return layer.kind in ("solidcolorfill", "patternfill", "gradientfill", "shape")


def _stored_pixels(layer: Layer) -> UInt8Array | None:
    """A layer's own pixels, straight RGBA, bit for bit; None when it has none."""
    if not layer.has_pixels() or layer.width == 0 or layer.height == 0:
        return None
    picture = layer.topil(apply_icc=False)
    return None if picture is None else np.array(picture.convert("RGBA"))


def _rendered(layer: Layer) -> tuple[UInt8Array, Box] | None:
    """A layer or group as it is seen by itself, trimmed: with masks, clipped layers, effects and opacity."""
    canvas = Box.canvas(layer._psd.size)
    box = canvas.union(Box(*layer.bbox)) if layer.width and layer.height else canvas
    color, _, alpha = composite(layer, viewport=box.as_tuple(), alpha=0.0, as_layer=True)
    pixels = round_to_uint8(np.concatenate([color, alpha], axis=-1).astype(np.float32))
    tight = alpha_box(pixels)
    return None if tight is None else (pixels[tight.pixels()], tight.shifted(box.x0, box.y0))


def _previews(document: PSDImage) -> list[UInt8Array]:
    """The merged image on white, RGB, in each way that it may be meant.

    Photoshop stores colours composited on white. Other programs store them as they are, or leave whatever they like
    where nothing is seen; a fourth channel then holds the coverage.
    """
    record = document._record
    planes = record.image_data.get_data(record.header)
    size = document.height, document.width
    stored = np.dstack([np.frombuffer(plane, np.uint8).reshape(size) for plane in planes[:4]])
    if stored.shape[2] == 3:
        return [stored]
    color, seen = stored[..., :3], stored[..., 3:] > 0
    return [color, np.where(seen, color, np.uint8(255)), over_color(stored, (255, 255, 255))]


def _merged(document: PSDImage) -> UInt8Array | None:
    """A model's own prediction of the whole, which our files keep as a hidden layer."""
    for layer in document:
        if layer.name == MERGED_NAME and not layer.visible and layer.bbox == document.viewbox:
            pixels = _stored_pixels(layer)
            return None if pixels is None else np.ascontiguousarray(pixels[..., :3])
    return None


def _profile(document: PSDImage) -> dict[str, str]:
    """The name of the colour profile, where there is one. Pixels stay as they are stored."""
    profile = document.image_resources.get_data(Resource.ICC_PROFILE)
    if not profile:
        return {}
    try:
        return {"color_profile": ImageCms.getProfileName(io.BytesIO(profile)).strip()}
    except ImageCms.PyCMSError:
        return {"color_profile": "unknown"}


def _stored_sidecar(document: PSDImage) -> Sidecar | None:
    """The sidecar in our own metadata; None in files made elsewhere, or where it was damaged."""
    packet = document.image_resources.get_data(Resource.XMP_METADATA)
    if not packet or re.search(rb"<!(DOCTYPE|ENTITY)", packet):
        return None
    try:
        found = ElementTree.fromstring(packet).find(f".//{{{XMP_NAMESPACE}}}sidecar")
        return None if found is None else Sidecar.from_json(json.dumps(json.loads(found.text or "")).encode())
    except (ElementTree.ParseError, ValueError):
        return None
