"""Near-duplicates among whole images: features stored with each sample, compared when samples are published.

Two ways to compare: by a perceptual hash, which finds copies of one picture, or by CLIP embeddings, which also find the
same design drawn again. Both go through an exact index of the faiss library, so that what is found depends on the
samples and their order alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from layered.arrays import UInt8Array
from layered.errors import UserError

PERCEPTUAL_HASH = "phash"
"""The feature's name."""

HASH_BITS = 256

_BLOCK: Final = 1024


class DuplicatesConfig(BaseModel):
    """The `filters.duplicates` section.

    Attributes:
        method: ``phash`` compares perceptual hashes, ``embedding`` the whole images' CLIP embeddings.
        max_distance: differing bits, of 256, up to which two hashes count as the same.
        min_similarity: cosine from which two embeddings count as the same. It depends on the CLIP: of the embedded one,
            no two of the demo's designs reach it, and copies that were scaled or made noisy do.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    enabled: bool = True
    method: Literal["phash", "embedding"] = "phash"
    max_distance: int = Field(24, ge=0, le=HASH_BITS)
    min_similarity: float = Field(0.98, gt=0, le=1)


def perceptual_hash(rgb: UInt8Array) -> bytes:
    """32 bytes that are nearly the same for pictures that look the same: signs of the low DCT frequencies."""
    import imagehash

    bits = imagehash.phash(Image.fromarray(rgb), hash_size=16).hash
    return np.packbits(bits).tobytes()


def repeated_samples(
    config: DuplicatesConfig, embedding_name: str, features: Mapping[str, Mapping[str, bytes]]
) -> Collection[str]:
    """The samples that look like an earlier one that is kept.

    Args:
        embedding_name: of the feature that holds the whole image's embedding, float16.
        features: by sample id, in plan order. A sample without the feature is like no other.

    Raises:
        UserError: when no sample has the feature that the method needs.
    """
    name = PERCEPTUAL_HASH if config.method == "phash" else embedding_name
    found = {sample_id: of[name] for sample_id, of in features.items() if name in of}
    if features and not found and config.method == "embedding":
        raise UserError(
            "filters.duplicates.method is embedding, but no sample has an embedding: "
            "layerprism run CONFIG --out RUN --only filters makes them"
        )
    if config.method == "phash":
        return repeated_hashes(found, config.max_distance)
    return repeated_embeddings(found, config.min_similarity)


def repeated_hashes(hashes: Mapping[str, bytes], max_distance: int) -> list[str]:
    """The samples whose hash differs in at most `max_distance` bits from that of an earlier one that is kept."""
    if not hashes:
        return []
    originals = originals_of_hashes(np.stack([np.frombuffer(each, np.uint8) for each in hashes.values()]), max_distance)
    return [sample_id for place, sample_id in enumerate(hashes) if originals[place] != place]


def originals_of_hashes(bits: UInt8Array, max_distance: int) -> NDArray[np.int64]:
    """For each hash the position of an earlier one that is kept and differs in at most `max_distance` bits; its own
    position where it is kept.

    Args:
        bits: ``[n, bytes]``.
    """
    import faiss

    def distances(block: NDArray[Any], others: NDArray[Any]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.bitwise_count(block[:, None] ^ others).sum(axis=2, dtype=np.int64)
        return found

    index = faiss.IndexBinaryFlat(8 * bits.shape[1])
    return _originals(bits, index, lambda distance: distance <= max_distance, distances)


def repeated_embeddings(embeddings: Mapping[str, bytes], min_similarity: float) -> list[str]:
    """The samples whose embedding, float16, has a cosine of at least `min_similarity` with that of an earlier one that
    is kept."""
    import faiss

    if not embeddings:
        return []
    vectors = np.stack([np.frombuffer(each, "<f2") for each in embeddings.values()]).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    index = faiss.IndexFlatIP(vectors.shape[1])
    originals = _originals(
        vectors, index, lambda cosine: cosine >= min_similarity, lambda block, others: block @ others.T
    )
    return [sample_id for place, sample_id in enumerate(embeddings) if originals[place] != place]


def _originals(
    vectors: NDArray[Any],
    index: Any,
    same: Callable[[NDArray[Any]], NDArray[np.bool_]],
    measure: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
) -> NDArray[np.int64]:
    """For each vector, in order, the position of an earlier one that is kept and the same; its own where it is kept.

    A block of vectors is compared with its nearest kept one in the index, then within itself; what is kept of it enters
    the index. Memory is that of the kept vectors and one block.
    """
    originals = np.arange(len(vectors))
    kept = np.empty(0, np.int64)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        own = np.arange(start, start + len(block))
        if index.ntotal:
            nearest, places = index.search(block, 1)
            found = same(nearest[:, 0])
            originals[own[found]] = kept[places[found, 0]]
        within = same(measure(block, block))
        for place in np.flatnonzero(originals[own] == own):
            before = np.flatnonzero(within[place, :place] & (originals[own[:place]] == own[:place]))
            if len(before):
                originals[own[place]] = own[before[0]]
        new = originals[own] == own
        index.add(np.ascontiguousarray(block[new]))
        kept = np.concatenate([kept, own[new]])
    return originals
