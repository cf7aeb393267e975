"""PNG in and out. Compression level 1: five times faster than the default, a few per cent larger."""

import io

import numpy as np
from PIL import Image

from layered.arrays import UInt8Array


def encode_png(pixels: UInt8Array) -> bytes:
    """Gray ``[h, w]``, RGB ``[h, w, 3]`` or straight RGBA ``[h, w, 4]`` as PNG bytes; equal pixels, equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_png(data: bytes) -> UInt8Array:
    """PNG bytes as RGB or straight RGBA, whichever the file is (gray and palette images become RGB or RGBA).

    Raises:
        ValueError: when the bytes are not a complete image.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            return np.array(image.convert("RGBA" if has_alpha else "RGB"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"not a complete PNG image: {error}") from error
