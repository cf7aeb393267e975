"""Duplicates: alike pictures are found, the first of them stays, others are left alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from filters.duplicates import HASH_BITS, DuplicatesConfig, perceptual_hash, repeated
from layered.arrays import UInt8Array
from layered.box import Box
from layered.compositing import composite
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
    assert list(repeated(hashes, LIMIT)) == ["s2", "s4"]


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=12), st.integers(0, 256))
def test_what_stays_is_further_apart_than_the_limit_and_what_goes_is_near(hashes: list[bytes], limit: int) -> None:
    named = {str(n): each for n, each in enumerate(hashes)}
    gone = set(repeated(named, limit))
    kept = [name for name in named if name not in gone]
    assert all(distance(named[a], named[b]) > limit for n, a in enumerate(kept) for b in kept[:n])
    assert all(any(distance(named[name], named[k]) <= limit and int(k) < int(name) for k in kept) for name in gone)
