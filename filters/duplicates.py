"""Duplicates by perceptual hash: stored with each sample, decided at publication."""

from collections.abc import Collection, Mapping

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from layered.arrays import UInt8Array

PERCEPTUAL_HASH = "phash"
"""The feature's name."""

HASH_BITS = 256


class DuplicatesConfig(BaseModel):
    """The `filters.duplicates` section.

    Attributes:
        max_distance: differing bits, of 256, up to which two whole images count as the same.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    enabled: bool = True
    max_distance: int = Field(24, ge=0, le=HASH_BITS)


def perceptual_hash(rgb: UInt8Array) -> bytes:
    """32 bytes that are nearly the same for pictures that look the same: signs of the low DCT frequencies."""
    import imagehash

    bits = imagehash.phash(Image.fromarray(rgb), hash_size=16).hash
    return np.packbits(bits).tobytes()


def repeated(hashes: Mapping[str, bytes], max_distance: int) -> Collection[str]:
    """The samples that look like an earlier one that is kept, in the mapping's order.

    Args:
        hashes: hash by sample id, in plan order.
        max_distance: differing bits up to which two samples count as the same.
    """
    kept = np.empty((len(hashes), HASH_BITS // 8), np.uint8)
    count = 0
    found = []
    for sample_id, digest in hashes.items():
        bits = np.frombuffer(digest, np.uint8)
        distances = np.bitwise_count(kept[:count] ^ bits).sum(axis=1, dtype=np.int64)
        if (distances <= max_distance).any():
            found.append(sample_id)
        else:
            kept[count] = bits
            count += 1
    return found
