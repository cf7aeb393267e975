"""A chunk's commit: its samples in a tar, then the commit record that makes them exist.

A tar without its record does not exist and is overwritten by the next try. A record is written once and never changed;
samples that are made again go to the next revision of their chunk, ``00042.r1.tar`` and ``00042.r1.parquet``.
Nothing in either file depends on when, where or how fast a sample was made.

In an object store, where a writer that was thought dead could still replace a tar, each try writes to a name of its
own, ``00042.3f9c0e12ab77.tar``, and the record's schema says which one it is of.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from layered.arrays import UInt8Array
from layered.codec import encode_members, layer_member
from layered.image import LayeredImage
from layered.png import encode_png
from layered.rendering import encode_webp
from layered.scores import Score
from layered.sidecar import Sidecar
from ledger.storage import Storage
from shards.manifest import MEMBER_TYPE, SCORE_TYPE, member_row, score_row
from shards.tar import Member, TarWriter

CHUNKS_FOLDER = "chunks"

RAW_BASE_MEMBER = "raw_base.png"
THUMBNAIL_WHOLE_MEMBER = "thumb_whole.webp"

_TAR_KEY = b"layerprism.tar"

FEATURES_TYPE = pa.map_(pa.string(), pa.binary())
BATCH_SHAPE_TYPE = pa.struct([("layer_index", pa.int32()), ("shape", pa.list_(pa.int32()))])
FAILURE_TYPE = pa.struct(
    [
        ("stage", pa.string()),
        ("layer_index", pa.int32()),
        ("error", pa.string()),
        ("traceback", pa.string()),
        ("inputs", pa.string()),
    ]
)
RECORD_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("style", pa.string()),
        ("layer_count", pa.int32()),
        ("whole_caption", pa.string()),
        ("members", pa.list_(MEMBER_TYPE)),
        ("scores", pa.list_(SCORE_TYPE)),
        ("features", FEATURES_TYPE),
        ("batch_shapes", pa.list_(BATCH_SHAPE_TYPE)),
        ("failure", FAILURE_TYPE),
    ]
)
"""One row per sample of the chunk; `failure` is null for a finished sample, and a failed one has no members."""


@dataclass(frozen=True)
class Failure:
    """Why a sample was not made.

    Attributes:
        layer_index: -1 when no single layer is to blame.
        inputs: what the stage was given, as JSON.
    """

    stage: str
    layer_index: int
    error: str
    traceback: str
    inputs: str = "{}"


@dataclass(frozen=True)
class ChunkSample:
    """A sample on its way into a chunk, encoded: finished (`members` filled) or failed (`failure` set).

    Attributes:
        members: of `layered.codec.encode_members`.
        raws: each generated layer's PNG before matting, by member name (`raw_base.png`, `raw_layer_00.png`).
        thumbs: WebP thumbnails by member name (`thumb_whole.webp`, `thumb_layer_00.webp`).
        features: hashes and embeddings by name.
        batch_shapes: (draws, width, height) of the batch that a layer was drawn in, by layer index.
    """

    sample_id: str
    style: str = ""
    whole_caption: str = ""
    layer_count: int = 0
    members: Mapping[str, bytes] = field(default_factory=dict)
    raws: Mapping[str, bytes] = field(default_factory=dict)
    thumbs: Mapping[str, bytes] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    features: Mapping[str, bytes] = field(default_factory=dict)
    batch_shapes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if bool(self.members) == (self.failure is not None):
            raise ValueError(f"sample {self.sample_id} must have either members or a failure")


@dataclass(frozen=True)
class ChunkRevision:
    """Names one commit: a chunk of the plan, and how many times samples of it were made again."""

    chunk: int
    revision: int = 0

    @property
    def name(self) -> str:
        return f"{self.chunk:05d}" + (f".r{self.revision}" if self.revision else "")

    @property
    def tar(self) -> str:
        """Its data on a local disk; in an object store the commit record names it, see `tar_of`."""
        return f"{CHUNKS_FOLDER}/{self.name}.tar"

    def new_tar(self) -> str:
        """A name for the data of one try."""
        return f"{CHUNKS_FOLDER}/{self.name}.{secrets.token_hex(6)}.tar"

    @property
    def record(self) -> str:
        return f"{CHUNKS_FOLDER}/{self.name}.parquet"

    @classmethod
    def of_file(cls, name: str) -> ChunkRevision | None:
        """The commit that a file belongs to by its name; None for a file that is no commit record."""
        match = re.fullmatch(rf"{CHUNKS_FOLDER}/(\d{{5,}})(?:\.r([1-9]\d*))?\.parquet", name)
        return cls(int(match[1]), int(match[2] or 0)) if match else None

    @classmethod
    def of_tar(cls, name: str) -> ChunkRevision | None:
        """The commit that a tar was written for, by any try; None for a file that is no chunk's tar."""
        match = re.fullmatch(rf"{CHUNKS_FOLDER}/(\d{{5,}})(?:\.r([1-9]\d*))?(?:\.[0-9a-f]{{12}})?\.tar", name)
        return cls(int(match[1]), int(match[2] or 0)) if match else None


def encode_sample(
    image: LayeredImage,
    sidecar: Sidecar,
    raws: Mapping[int, UInt8Array],
    scores: Sequence[Score] = (),
    features: Mapping[str, bytes] | None = None,
    batch_shapes: Mapping[int, tuple[int, ...]] | None = None,
) -> ChunkSample:
    """Encodes a finished sample: PNG members and raws, WebP thumbnails.

    The costly part of a commit; any worker may do it.

    Args:
        raws: RGB ``[h, w, 3]`` before matting by layer index, -1 for the base image; empty when they are not kept.
    """
    thumbs = {THUMBNAIL_WHOLE_MEMBER: encode_webp(image.whole())}
    thumbs |= {thumbnail_member(index): encode_webp(layer.pixels) for index, layer in enumerate(image.layers)}
    return ChunkSample(
        sidecar.id,
        style=sidecar.style_category,
        whole_caption=sidecar.whole_caption,
        layer_count=sidecar.layer_count,
        members=encode_members(image, sidecar),
        raws={raw_member(index): encode_png(pixels) for index, pixels in raws.items()},
        thumbs=thumbs,
        scores=tuple(scores),
        features=dict(features or {}),
        batch_shapes=dict(batch_shapes or {}),
    )


def raw_member(layer_index: int) -> str:
    """``raw_layer_00.png``; ``raw_base.png`` for -1."""
    return RAW_BASE_MEMBER if layer_index == -1 else f"raw_{layer_member(layer_index)}"


def thumbnail_member(layer_index: int) -> str:
    """``thumb_layer_00.webp``; ``thumb_whole.webp`` for -1."""
    if layer_index == -1:
        return THUMBNAIL_WHOLE_MEMBER
    return "thumb_" + layer_member(layer_index).removesuffix(".png") + ".webp"


def write_chunk(storage: Storage, commit: ChunkRevision, samples: Sequence[ChunkSample]) -> bool:
    """Commits samples, in the order given. The first commit wins: where the record exists, nothing is written.

    Returns:
        Whether this call made the commit.

    Raises:
        ValueError: when a sample occurs twice.
    """
    if len({sample.sample_id for sample in samples}) < len(samples):
        raise ValueError(f"a sample occurs twice in chunk {commit.name}")
    if storage.exists(commit.record):
        return False
    rows = []
    tar = commit.tar if storage.is_local else commit.new_tar()
    with storage.writing(tar) as stream:
        writer = TarWriter(stream)
        for sample in samples:
            members = writer.add(sample.sample_id, {**sample.members, **sample.raws, **sample.thumbs})
            rows.append(_row(sample, members))
        writer.close()
    table = pa.Table.from_pylist(rows, RECORD_SCHEMA)
    if tar != commit.tar:
        table = table.replace_schema_metadata({_TAR_KEY: tar})
    record = pa.BufferOutputStream()
    pq.write_table(table, record, compression="zstd")
    made = storage.create(commit.record, record.getvalue().to_pybytes())
    if not made and tar != commit.tar:
        storage.remove(tar)
    return made


def tar_of(commit: ChunkRevision, record: pa.Table) -> str:
    """The file with a commit's data, by its record as it was read."""
    named = (record.schema.metadata or {}).get(_TAR_KEY)
    return commit.tar if named is None else str(named.decode())


def committed(storage: Storage) -> list[ChunkRevision]:
    """All commits of a run, by chunk and revision, from one listing of names."""
    commits = (ChunkRevision.of_file(name) for name in storage.list(CHUNKS_FOLDER))
    return sorted((commit for commit in commits if commit), key=lambda commit: (commit.chunk, commit.revision))


def next_revision(storage: Storage, chunk: int) -> ChunkRevision:
    """The first revision of a chunk that is not committed yet."""
    revisions = [commit.revision for commit in committed(storage) if commit.chunk == chunk]
    return ChunkRevision(chunk, max(revisions, default=-1) + 1)


def _row(sample: ChunkSample, members: tuple[Member, ...]) -> dict[str, object]:
    return {
        "sample_id": sample.sample_id,
        "style": sample.style,
        "layer_count": sample.layer_count,
        "whole_caption": sample.whole_caption,
        "members": [member_row(member) for member in members],
        "scores": [score_row(score) for score in sample.scores],
        "features": sorted(sample.features.items()),
        "batch_shapes": [
            {"layer_index": index, "shape": list(shape)} for index, shape in sorted(sample.batch_shapes.items())
        ],
        "failure": None
        if sample.failure is None
        else {
            "stage": sample.failure.stage,
            "layer_index": sample.failure.layer_index,
            "error": sample.failure.error,
            "traceback": sample.failure.traceback,
            "inputs": sample.failure.inputs,
        },
    }
