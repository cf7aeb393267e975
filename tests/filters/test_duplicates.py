"""Duplicates: alike pictures are found, the first of them stays, others are left alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from filters.duplicates import (
    HASH_BITS,
    DuplicatesConfig,
    perceptual_hash,
    repeated_embeddings,
    repeated_hashes,
    repeated_samples,
)
from layered.arrays import UInt8Array
from layered.box import Box
from layered.compositing import composite
from layered.errors import UserError
from layered.pixels import resize_rgb
from tests.filters.drawings import COLORS, KINDS, SIDE, drawing

LIMIT = DuplicatesConfig().max_distance


def pictures() -> list[UInt8Array]:
    """Things in different places over soft scenes."""
    found = []
    for number, (kind, color) in enumerate(zip(KINDS, COLORS, strict=False)):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        scene = np.array(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        found.append(
            composite(scene, [(drawing(kind, color), Box(20 * number - 40, 0, 20 * number - 40 + SIDE, SIDE))])
        )
    return found


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def test_a_hash_survives_what_the_eye_does_not_see() -> None:
    for picture in pictures():
        own = perceptual_hash(picture)
        assert len(own) == HASH_BITS // 8
        noisy = np.clip(picture + np.random.default_rng(0).normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        smaller = resize_rgb(picture, (100, 100))
        assert max(distance(own, perceptual_hash(each)) for each in (noisy, smaller)) <= LIMIT


def test_different_pictures_are_far_apart() -> None:
    hashes = [perceptual_hash(picture) for picture in pictures()]
    assert min(distance(a, b) for n, a in enumerate(hashes) for b in hashes[:n]) > 3 * LIMIT


def test_the_first_in_order_stays() -> None:
    a, b = pictures()[0], pictures()[3]
    hashes = {name: perceptual_hash(picture) for name, picture in [("s3", a), ("s1", b), ("s2", a), ("s4", b)]}
    assert list(repeated_hashes(hashes, LIMIT)) == ["s2", "s4"]


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=12), st.integers(0, 256))
def test_what_stays_is_further_apart_than_the_limit_and_what_goes_is_near(hashes: list[bytes], limit: int) -> None:
    named = {str(n): each for n, each in enumerate(hashes)}
    gone = set(repeated_hashes(named, limit))
    kept = [name for name in named if name not in gone]
    assert all(distance(named[a], named[b]) > limit for n, a in enumerate(kept) for b in kept[:n])
    assert all(any(distance(named[name], named[k]) <= limit and int(k) < int(name) for k in kept) for name in gone)


def unit_vectors(count: int, size: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(0, 1, (count, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def as_features(vectors: np.ndarray) -> dict[str, bytes]:
    return {f"s{number:05d}": vector.astype("<f2").tobytes() for number, vector in enumerate(vectors)}


@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(-0.5, 0.99))
def test_embeddings_that_stay_are_unlike_and_those_that_go_are_like_an_earlier_one(
    seed: int, count: int, limit: float
) -> None:
    vectors = unit_vectors(count, 4, seed)
    named = as_features(vectors)
    kept: list[np.ndarray] = []
    gone = set(repeated_embeddings(named, limit))
    for name, data in named.items():
        vector = np.frombuffer(data, "<f2").astype(float)
        vector /= np.linalg.norm(vector)
        cosines = [float(vector @ other) for other in kept]
        if name in gone:
            assert max(cosines) >= limit - 1e-5
        else:
            assert max(cosines, default=-1) < limit + 1e-5
            kept.append(vector)


def test_every_planted_pair_is_found_across_blocks_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_vectors(3000, 64, 1)
    originals, copies = rng.choice(1400, 50, replace=False), 1500 + rng.choice(1500, 50, replace=False)
    vectors[copies] = vectors[originals] + rng.normal(0, 0.1 / 8, (50, 64))
    assert repeated_embeddings(as_features(vectors), 0.98) == sorted(f"s{number:05d}" for number in copies)


def test_the_method_chooses_the_feature() -> None:
    a, b = unit_vectors(2, 8, 3).astype("<f2")
    near = (a + 0.01 * b).astype("<f2")
    features = {
        "s1": {"phash": bytes(32), "clip": a.tobytes()},
        "s2": {"phash": bytes(32), "clip": b.tobytes()},
        "s3": {"phash": b"\xff" * 32, "clip": near.tobytes()},
        "s4": {},
    }
    by_hash, by_embedding = DuplicatesConfig(), DuplicatesConfig(method="embedding")
    assert repeated_samples(by_hash, "clip", features) == ["s2"]
    assert repeated_samples(by_embedding, "clip", features) == ["s3"]
    assert repeated_samples(by_hash, "clip", {}) == repeated_samples(by_embedding, "clip", {}) == []


def test_a_run_without_embeddings_says_how_to_get_some() -> None:
    with pytest.raises(UserError, match="no sample has an embedding: layerprism run CONFIG --out RUN --only filters"):
        repeated_samples(DuplicatesConfig(method="embedding"), "clip", {"s1": {"phash": bytes(32)}})
