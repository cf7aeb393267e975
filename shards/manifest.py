"""The manifest: one row per published sample, with the byte range and hash of each of its files.

It is written last. A folder without it is no publication. Beside it stands ``checksums``, which ``sha256sum -c`` reads;
the hash of that file is the publication's fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layered.scores import Score
from layered.sidecar import Sidecar
from shards.files import Files, spooled
from shards.parquet import read_parquet
from shards.tar import Member

MANIFEST_FILE = "manifest.parquet"
CHECKSUMS_FILE = "checksums"

MEMBER_TYPE = pa.struct([("name", pa.string()), ("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])
SCORE_TYPE = pa.struct([("layer_index", pa.int32()), ("name", pa.string()), ("score", pa.float64())])
MANIFEST_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("split", pa.string()),
        ("shard", pa.string()),
        ("style", pa.string()),
        ("decision", pa.string()),
        ("layer_count", pa.int32()),
        ("canvas", pa.list_(pa.int32())),
        ("layer_boxes", pa.list_(pa.list_(pa.int32()))),
        ("whole_caption", pa.string()),
        ("licences", pa.list_(pa.string())),
        ("scores", pa.list_(SCORE_TYPE)),
        ("members", pa.list_(MEMBER_TYPE)),
    ]
)
_ROWS_PER_GROUP = 1024
_TEMPORARY_FILE = f".{MANIFEST_FILE}.tmp"


@dataclass(frozen=True)
class Placement:
    """Where a published sample lies."""

    sample_id: str
    split: str
    shard: str
    members: tuple[Member, ...]


def member_row(member: Member) -> dict[str, object]:
    """A value of `MEMBER_TYPE`."""
    return {"name": member.name, "offset": member.offset, "size": member.size, "sha256": member.sha256}


def score_row(score: Score) -> dict[str, object]:
    """A value of `SCORE_TYPE`."""
    return {"layer_index": score.layer_index, "name": score.name, "score": score.score}


class ManifestWriter:
    """Collects rows in a hidden file; `finish` makes them the manifest."""

    def __init__(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Takes the publication's folder and texts to keep in the file's schema."""
        self._folder = folder
        self._schema = MANIFEST_SCHEMA.with_metadata(dict(metadata))
        self._writer = pq.ParquetWriter(folder / _TEMPORARY_FILE, self._schema, compression="zstd")
        self._rows: list[dict[str, object]] = []

    def add(self, placement: Placement, sidecar: Sidecar, scores: Sequence[Score]) -> None:
        """Adds one sample; `scores` are the score rows of the sample and of its layers."""
        self._rows.append(
            {
                "sample_id": placement.sample_id,
                "split": placement.split,
                "shard": placement.shard,
                "style": sidecar.style_category,
                "decision": sidecar.decision,
                "layer_count": sidecar.layer_count,
                "canvas": list(sidecar.canvas),
                "layer_boxes": [list(layer.box) for layer in sidecar.layers],
                "whole_caption": sidecar.whole_caption,
                "licences": sorted({layer.licence for layer in sidecar.layers}),
                "scores": [score_row(score) for score in scores],
                "members": [member_row(member) for member in placement.members],
            }
        )
        if len(self._rows) == _ROWS_PER_GROUP:
            self._flush()

    def finish(self, checksums: Mapping[str, str]) -> None:
        """Writes ``checksums`` (file name → sha256 of everything else there is), then puts the manifest in place."""
        self._flush()
        self._writer.close()
        hidden = self._folder / _TEMPORARY_FILE
        everything = {**checksums, MANIFEST_FILE: file_sha256(hidden)}
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(everything.items()))
        (self._folder / CHECKSUMS_FILE).write_text(lines, encoding="utf-8")
        hidden.replace(self._folder / MANIFEST_FILE)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
            self._rows = []


def read_checksums(files: Files) -> dict[str, str]:
    """File name → sha256. Raises ValueError when the file is missing or is not in sha256sum's format."""
    try:
        lines = files.read(CHECKSUMS_FILE).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{CHECKSUMS_FILE} cannot be read: {error}") from error
    checksums = {}
    for number, line in enumerate(lines, start=1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64:
            raise ValueError(f"{CHECKSUMS_FILE}:{number} is not of the form `sha256  file`")
        checksums[name] = digest
    return checksums


def publication_fingerprint(files: Files) -> str:
    """The sha256 of ``checksums``: equal exactly when every file of two publications is. Raises FileNotFoundError."""
    return hashlib.sha256(files.read(CHECKSUMS_FILE)).hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(files: Files) -> pa.Table:
    """Rows of `MANIFEST_SCHEMA`. Raises ValueError when there is no manifest or it is damaged."""
    try:
        with spooled(files, MANIFEST_FILE) as stream:
            return read_parquet(stream)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{MANIFEST_FILE} cannot be read: {error}") from error


def placement_of(row: Mapping[str, Any]) -> Placement:
    """The placement in a row of the manifest."""
    members = tuple(Member(**member) for member in row["members"])
    return Placement(row["sample_id"], row["split"], row["shard"], members)
