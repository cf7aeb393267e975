"""A sample as named files: the same members in a tar, in a chunk and in a layered folder.

Member names stand without the sample's key: ``base_image.png``, ``json``, ``layer_00.png`` …, ``whole_image.png`` and,
for a model's samples, ``merged_image.png``.
"""

import re
from collections.abc import Mapping

from layered.arrays import UInt8Array
from layered.image import Layer, LayeredImage
from layered.png import decode_png, encode_png
from layered.sidecar import Sidecar

BASE_IMAGE_MEMBER = "base_image.png"
MERGED_IMAGE_MEMBER = "merged_image.png"
SIDECAR_MEMBER = "json"
WHOLE_IMAGE_MEMBER = "whole_image.png"


def layer_member(index: int) -> str:
    """``layer_00.png`` for the lowest layer. Raises ValueError above 99, where names would sort wrongly."""
    if not 0 <= index <= 99:
        raise ValueError(f"layer index {index} is not in 0…99")
    return f"layer_{index:02d}.png"


def sample_key(sample_id: str) -> str:
    """The sample's key in a tar, which is its id.

    Raises:
        ValueError: unless it is made of lower-case letters, digits, ``_`` and ``-``. A dot would end the key early and
            merge samples silently when webdataset reads them.
    """
    if not re.fullmatch(r"[a-z0-9_-]+", sample_id):
        raise ValueError(f"sample id {sample_id!r} may hold lower-case letters, digits, _ and - only")
    return sample_id


def encode_members(image: LayeredImage, sidecar: Sidecar) -> dict[str, bytes]:
    """A sample as member name → bytes, sorted by name; equal samples give equal bytes."""
    members = {
        BASE_IMAGE_MEMBER: encode_png(image.base),
        SIDECAR_MEMBER: sidecar.to_json(),
        WHOLE_IMAGE_MEMBER: encode_png(image.whole()),
    }
    for index, layer in enumerate(image.layers):
        members[layer_member(index)] = encode_png(layer.pixels)
    if image.merged is not None:
        members[MERGED_IMAGE_MEMBER] = encode_png(image.merged)
    return dict(sorted(members.items()))


def decode_members(members: Mapping[str, bytes]) -> tuple[LayeredImage, Sidecar]:
    """The mirror image of `encode_members`; the whole image is not needed, since it follows from the rest.

    Raises:
        ValueError: when a member is missing, is broken or contradicts the sidecar; the message names it.
    """
    sidecar = Sidecar.from_json(_member(members, SIDECAR_MEMBER))
    base = _decode(members, BASE_IMAGE_MEMBER)
    if (base.shape[1], base.shape[0]) != sidecar.canvas:
        raise ValueError(f"{BASE_IMAGE_MEMBER} has {base.shape[1]}×{base.shape[0]} pixels, the canvas {sidecar.canvas}")
    layers = []
    for index, record in enumerate(sidecar.layers):
        name = layer_member(index)
        pixels = _decode(members, name)
        try:
            layers.append(Layer(pixels, record.placed_box()))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    merged = _decode(members, MERGED_IMAGE_MEMBER) if MERGED_IMAGE_MEMBER in members else None
    return LayeredImage(base, tuple(layers), merged), sidecar


def _member(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise ValueError(f"member {name} is missing")
    return members[name]


def _decode(members: Mapping[str, bytes], name: str) -> UInt8Array:
    try:
        return decode_png(_member(members, name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
