"""A run of any size for measuring the review page: real thumbnails and records, no models, few bytes.

A sample has a sidecar, a tiny PNG, and the thumbnail of one of a few drawn pictures; the scores of a whole image and of
five layers; a perceptual hash. One in a hundred looks like an earlier one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from layered.png import encode_png
from layered.rendering import encode_webp
from layered.sidecar import LayerRecord, Sidecar
from ledger.commit import FEATURES_TYPE, RECORD_SCHEMA, THUMBNAIL_WHOLE_MEMBER, ChunkRevision
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from shards.manifest import MEMBER_TYPE, SCORE_TYPE, member_row
from shards.tar import TarWriter

LAYERS: Final = 5
CHUNK: Final = 50
PICTURES: Final = 64
STYLES: Final = ("flat", "cartoon", "pixel", "neon", "sketch", "pastel", "outline")
WHOLE_SCORES: Final = ("clip_whole", "composition_visible", "composition_order", "composition_box")
LAYER_SCORES: Final = (
    *(f"alpha_{name}" for name in ("empty", "rectangle", "cut", "holes", "specks", "leftover", "halo")),
    *(f"artifact_{name}" for name in ("blur", "checkerboard", "cut", "halo", "holes", "leftover", "lettering")),
    *(f"artifact_{name}" for name in ("malformed", "noise", "seams", "several", "specks")),
    *("artifact", "clip_layer", "clip_margin"),
)
THRESHOLD: Final = 0.56
"""Of scores that are the tenth root of a uniform 0…1: a third of the samples have one of 109 below it."""


def make_large_run(path: Path, samples: int) -> RunDirectory:
    """Writes the run, its stored index included; about a minute for a hundred thousand samples."""
    rng = np.random.default_rng(0)
    thumbnails = [encode_webp(_picture(rng)) for _ in range(PICTURES)]
    whole = encode_png(np.full((8, 8, 3), 127, np.uint8))
    filters = {name: {"threshold": THRESHOLD} for name in (*WHOLE_SCORES, *LAYER_SCORES)}
    info = {
        "config": {"name": f"{samples} samples", "filters": filters},
        "fingerprint": f"{samples:064d}",
        "fingerprint_parts": {},
    }
    plan = pa.table({"sample_id": [_name(number) for number in range(samples)], "split": ["train"] * samples})
    stream = pa.BufferOutputStream()
    pq.write_table(plan, stream)
    run = RunDirectory.create(path, info, stream.getvalue().to_pybytes())
    (path / "chunks").mkdir()
    hashes = rng.integers(0, 256, (samples, 32), np.uint8)
    copies = rng.choice(samples, samples // 100, replace=False)
    hashes[copies] = hashes[rng.integers(0, samples, len(copies))]
    for chunk, start in enumerate(range(0, samples, CHUNK)):
        numbers = range(start, min(start + CHUNK, samples))
        _write_chunk(path, ChunkRevision(chunk), numbers, {"whole": whole}, thumbnails, hashes, rng)
    RunIndex.load(run.storage)
    return run


def _write_chunk(
    path: Path,
    commit: ChunkRevision,
    numbers: range,
    files: Mapping[str, bytes],
    thumbnails: list[bytes],
    hashes: np.ndarray,
    rng: np.random.Generator,
) -> None:
    members = []
    tar = io.BytesIO()
    writer = TarWriter(tar)
    for number in numbers:
        content = {
            "json": _sidecar(number).to_json(),
            THUMBNAIL_WHOLE_MEMBER: thumbnails[int(rng.integers(PICTURES))],
            "whole_image.png": files["whole"],
        }
        members.append([member_row(member) for member in writer.add(_name(number), content)])
    writer.close()
    (path / commit.tar).write_bytes(tar.getvalue())
    count = len(numbers)
    table = pa.table(
        {
            "sample_id": [_name(number) for number in numbers],
            "style": [STYLES[number % len(STYLES)] for number in numbers],
            "layer_count": pa.array([LAYERS] * count, pa.int32()),
            "whole_caption": [_caption(number) for number in numbers],
            "members": pa.array(members, pa.list_(MEMBER_TYPE)),
            "scores": _scores(count, rng),
            "features": pa.array([[("phash", hashes[number].tobytes())] for number in numbers], FEATURES_TYPE),
            "batch_shapes": pa.array([[]] * count, RECORD_SCHEMA.field("batch_shapes").type),
            "failure": pa.nulls(count, RECORD_SCHEMA.field("failure").type),
        },
        RECORD_SCHEMA,
    )
    pq.write_table(table, path / commit.record, compression="zstd")


def _scores(count: int, rng: np.random.Generator) -> pa.Array:
    names = [*WHOLE_SCORES, *(name for name in LAYER_SCORES for _ in range(LAYERS))]
    layers = [*(-1 for _ in WHOLE_SCORES), *(layer for _ in LAYER_SCORES for layer in range(LAYERS))]
    each = len(names)
    rows = pa.StructArray.from_arrays(
        [
            pa.array(np.tile(np.array(layers, np.int32), count)),
            pa.array(names * count),
            pa.array(rng.random(each * count) ** 0.1),
        ],
        fields=list(SCORE_TYPE),
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(0, each * count + 1, each), pa.int32()), rows)


def _picture(rng: np.random.Generator) -> np.ndarray:
    """256 × 256 pixels of soft colour with some grain: as many bytes in WebP as a design has."""
    coarse = rng.integers(40, 220, (8, 8, 3)).astype(np.float32)
    smooth = np.kron(coarse, np.ones((32, 32, 1), np.float32))
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def _sidecar(number: int) -> Sidecar:
    layers = tuple(
        LayerRecord(
            index=index,
            kind="image",
            caption=f"thing {index}",
            box=(0, 0, 8, 8),
            layout_box=(0, 0, 8, 8),
            seed=number,
            attempt=0,
            sha256="0" * 64,
            model="none",
            revision="",
            licence="",
        )
        for index in range(LAYERS)
    )
    return Sidecar(
        id=_name(number),
        canvas=(8, 8),
        style_category=STYLES[number % len(STYLES)],
        whole_caption=_caption(number),
        base_caption="a table",
        layer_count=LAYERS,
        layers=layers,
        provenance={"brief": json.dumps(number)},
    )


def _caption(number: int) -> str:
    nouns = ("apple", "castle", "balloon", "teapot", "lantern", "whale", "bicycle", "cactus")
    chosen = [nouns[number // 8**place % 8] for place in range(4)]
    return f"a design with a red {chosen[0]}, two {chosen[1]}s, a {chosen[2]} and a blue {chosen[3]} on a table"


def _name(number: int) -> str:
    return f"s{number:07d}"
