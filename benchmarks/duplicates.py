"""Near-duplicates over a publication: how long, and whether planted copies are found.

    python -m benchmarks.duplicates                    200,000 embeddings of 512 numbers, and as many hashes
    python -m benchmarks.duplicates --count 20000

Random unit vectors stand for the embeddings of different pictures, random bits for their hashes; some samples, anywhere
in the order, are copies of earlier ones with a little noise. Everything runs through the functions that publication
calls, on as many cores as OMP_NUM_THREADS says.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from filters.duplicates import HASH_BITS, DuplicatesConfig, repeated_embeddings, repeated_hashes

SIMILARITY = 0.99  # of a planted embedding to its original, before both are rounded to float16
FLIPPED = 12  # bits of a planted hash


@dataclass(frozen=True)
class Row:
    """One method: seconds, the part of the planted copies that was found, and how many others were."""

    method: str
    samples: int
    planted: int
    seconds: float
    recall: float
    others: int


def planted_embeddings(count: int, size: int, copies: int) -> tuple[dict[str, bytes], set[str]]:
    """Features by sample id, and the ids of the copies."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, size), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    originals, places = _places(count, copies, rng)
    noise = rng.standard_normal((copies, size), np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors[places] = SIMILARITY * vectors[originals] + np.sqrt(1 - SIMILARITY**2) * noise
    halved = vectors.astype("<f2")
    return {_name(row): halved[row].tobytes() for row in range(count)}, {_name(place) for place in places}


def planted_hashes(count: int, copies: int) -> tuple[dict[str, bytes], set[str]]:
    """Features by sample id, and the ids of the copies."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (count, HASH_BITS // 8), np.uint8)
    originals, places = _places(count, copies, rng)
    hashes[places] = hashes[originals]
    for place in places:
        flipped = np.zeros(HASH_BITS, np.uint8)
        flipped[rng.choice(HASH_BITS, FLIPPED, replace=False)] = 1
        hashes[place] ^= np.packbits(flipped)
    return {_name(row): hashes[row].tobytes() for row in range(count)}, {_name(place) for place in places}


def measure(
    method: str, features: Mapping[str, bytes], planted: set[str], find: Callable[[Mapping[str, bytes]], list[str]]
) -> Row:
    start = time.perf_counter()
    found = set(find(features))
    seconds = time.perf_counter() - start
    return Row(method, len(features), len(planted), seconds, len(found & planted) / len(planted), len(found - planted))


def _places(count: int, copies: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Originals in the first half and their copies in the second, each sample at most once."""
    return rng.choice(count // 2, copies, replace=False), count // 2 + rng.choice(count // 2, copies, replace=False)


def _name(row: int) -> str:
    return f"s{row:07d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    config = DuplicatesConfig()
    embeddings = planted_embeddings(arguments.count, arguments.size, arguments.copies)
    hashes = planted_hashes(arguments.count, arguments.copies)
    rows = [
        measure("embedding", *embeddings, lambda found: repeated_embeddings(found, config.min_similarity)),
        measure("phash", *hashes, lambda found: repeated_hashes(found, config.max_distance)),
    ]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{machine()}, threads: {threads}\n")
    print("| method | samples | planted copies | found | others found | seconds |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.method} | {row.samples} | {row.planted} | {row.recall:.1%} | {row.others} | {row.seconds:.1f} |")
    if arguments.json:
        document = {"machine": machine(), "threads": threads, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
