"""Samples into PrismLayers Parquet: one split per style, previews, a card, and beside it what the columns cannot hold.

data/cartoon-00000-of-00002.parquet …   the columns of the published sets, and no others
provenance.parquet                      each sample's sidecar: seeds, models, licences, texts
previews/cartoon.webp                   the first designs of each split
croissant.json                          what the set is, for machines
README.md                               dataset card, written last
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from exports.formats import FormatOptions, Sample
from exports.prismlayers.card import write_card
from exports.prismlayers.columns import columns, layer_column, parquet_schema, split_name
from layered.codec import BASE_IMAGE_MEMBER, SIDECAR_MEMBER, WHOLE_IMAGE_MEMBER, encode_members, layer_member
from layered.errors import UserError
from layered.png import decode_png
from layered.rendering import contact_sheet, encode_webp
from layered.sidecar import Sidecar
from shards.card import CARD_FILE, CardStatistics
from shards.croissant import CROISSANT_FILE, Column, Files, write_croissant
from shards.tar import Member, TarWriter, read_members

DATA_FOLDER: Final = "data"
PREVIEWS_FOLDER: Final = "previews"
PROVENANCE_FILE: Final = "provenance.parquet"
PROVENANCE_SCHEMA: Final = pa.schema([("id", pa.string()), ("split", pa.string()), ("sidecar", pa.string())])

ROWS_PER_FILE: Final = 500
BYTES_PER_FILE: Final = 512 * 1024**2
ROWS_PER_GROUP: Final = 100
BYTES_PER_GROUP: Final = 32 * 1024**2
PREVIEWED: Final = 12
CROISSANT_TEXT: Final = "Designs made of transparent layers over an opaque base image, in the columns of PrismLayers."
_PARTS: Final = (Files("data", f"{DATA_FOLDER}/*.parquet", "application/x-parquet"),)
_SPOOL: Final = ".spool.tar.tmp"

Members = Mapping[str, bytes]


class _WritesTables(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


class PrismLayers:
    """The format ``prismlayers``."""

    name = "prismlayers"

    def __init__(self, options: FormatOptions) -> None:
        """There is nothing to choose about it."""

    def write_set(self, samples: Iterable[Sample], folder: Path) -> Sequence[str]:
        """See `exports.formats.SetFormat`."""
        write_prismlayers(folder, ((sidecar, encode_members(image, sidecar)) for image, sidecar in samples))
        return ()


@dataclass(frozen=True)
class _Stored:
    """Where a sample lies in the spool."""

    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        return sum(member.size for member in self.members)


def write_prismlayers(
    folder: Path,
    samples: Iterable[tuple[Sidecar, Members]],
    title: str = "Layered transparent images",
    rows_per_file: int = ROWS_PER_FILE,
) -> dict[str, int]:
    """Writes a set of samples, given as sidecar and files (`layered.codec.encode_members`), each looked at once.

    The schema needs the largest number of layers and file names need the number of files, so that all samples pass
    through a hidden tar in `folder` first; no more than one row group is in memory. Equal samples give equal bytes.

    Args:
        folder: new or empty.

    Returns:
        Samples by split.

    Raises:
        UserError: when there is no sample, two have one id, or the folder holds anything.
        ValueError: when a sample lacks a file.
    """
    if folder.exists() and any(path.name != _SPOOL for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    spool = folder / _SPOOL
    try:
        statistics = CardStatistics()
        with spool.open("wb") as stream:
            by_split = _spool(stream, samples, folder / PROVENANCE_FILE, statistics)
        if not by_split:
            raise UserError("there is no sample to write")
        layers = max(statistics.layer_counts)
        with spool.open("rb") as stream:
            for split, stored in sorted(by_split.items()):
                _write_split(folder, split, stored, layers, stream, rows_per_file)
        licences = {licence for _, _, licence in statistics.sources}
        write_croissant(
            folder / CROISSANT_FILE, title, CROISSANT_TEXT, licences, _PARTS, "data", _croissant_columns(layers)
        )
        write_card(folder / CARD_FILE, title, statistics, layers)
    finally:
        spool.unlink(missing_ok=True)
    return {split: len(stored) for split, stored in sorted(by_split.items())}


def row_of(sidecar: Sidecar, members: Members) -> dict[str, Any]:
    """One row. Raises ValueError when a file is missing; its name is told."""
    row: dict[str, Any] = {
        "id": sidecar.id,
        "whole_image": _image(members, WHOLE_IMAGE_MEMBER),
        "whole_caption": sidecar.whole_caption,
        "style_category": sidecar.style_category,
        "base_image": _image(members, BASE_IMAGE_MEMBER),
        "base_caption": sidecar.base_caption,
        "layer_count": sidecar.layer_count,
    }
    for index, layer in enumerate(sidecar.layers):
        box = layer.placed_box()
        row[layer_column(index)] = _image(members, layer_member(index))
        row[layer_column(index, "_caption")] = layer.caption
        row[layer_column(index, "_box")] = box.as_list()
        row[layer_column(index, "_width_dst")] = box.width
        row[layer_column(index, "_height_dst")] = box.height
    return row


def _croissant_columns(layers: int) -> list[Column]:
    """All columns but boxes: a list in a column is not yet what Croissant's readers agree on."""
    return [Column(name, kind) for name, kind in columns(layers) if kind != "int32s"]


def _image(members: Members, name: str) -> dict[str, bytes | None]:
    if name not in members:
        raise ValueError(f"member {name} is missing")
    return {"bytes": members[name], "path": None}


def _spool(
    stream: BinaryIO, samples: Iterable[tuple[Sidecar, Members]], provenance: Path, statistics: CardStatistics
) -> dict[str, list[_Stored]]:
    """Every sample into a tar, its sidecar into the table of provenance; where each of them lies, by split."""
    by_split: dict[str, list[_Stored]] = {}
    seen: set[str] = set()
    tar = TarWriter(stream)
    try:
        with pq.ParquetWriter(provenance, PROVENANCE_SCHEMA, compression="zstd") as table:
            rows = _Buffered(table, PROVENANCE_SCHEMA)
            for sidecar, members in samples:
                if sidecar.id in seen:
                    raise UserError(f"two samples have the id {sidecar.id}: a set needs different ones")
                seen.add(sidecar.id)
                split = split_name(sidecar.style_category)
                by_split.setdefault(split, []).append(_Stored(tar.add(sidecar.id, members)))
                statistics.add(split, sidecar, ())
                text = sidecar.to_json().decode()
                rows.add({"id": sidecar.id, "split": split, "sidecar": text}, len(text))
            rows.flush()
    finally:
        tar.close()
    return by_split


def _write_split(
    folder: Path, split: str, samples: Sequence[_Stored], layers: int, spool: BinaryIO, rows_per_file: int
) -> None:
    """``data/anime-00000-of-00007.parquet`` and so on, and the preview."""
    files = list(_cut(samples, rows_per_file))
    schema = parquet_schema(layers)
    (folder / DATA_FOLDER).mkdir(exist_ok=True)
    for number, part in enumerate(files):
        path = folder / DATA_FOLDER / f"{split}-{number:05d}-of-{len(files):05d}.parquet"
        # PNG does not shrink any further.
        with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as table:
            rows = _Buffered(table, schema)
            for stored in part:
                members = read_members(spool, stored.members)
                rows.add(row_of(Sidecar.from_json(members[SIDECAR_MEMBER]), members), stored.size)
            rows.flush()
    shown = [read_members(spool, stored.members, [WHOLE_IMAGE_MEMBER]) for stored in samples[:PREVIEWED]]
    sheet = contact_sheet([decode_png(members[WHOLE_IMAGE_MEMBER]) for members in shown], columns=min(6, len(shown)))
    (folder / PREVIEWS_FOLDER).mkdir(exist_ok=True)
    preview = folder / PREVIEWS_FOLDER / f"{split}.webp"
    preview.write_bytes(encode_webp(sheet, max_side=max(sheet.shape)))


def _cut(samples: Sequence[_Stored], rows: int) -> Iterator[list[_Stored]]:
    """Files of at most so many rows and bytes; a single sample may be larger."""
    part: list[_Stored] = []
    size = 0
    for stored in samples:
        if part and (len(part) == rows or size + stored.size > BYTES_PER_FILE):
            yield part
            part, size = [], 0
        part.append(stored)
        size += stored.size
    yield part


class _Buffered:
    """Rows on their way into a table, as many at a time as readers like to load at once."""

    def __init__(self, table: _WritesTables, schema: pa.Schema) -> None:
        self._table, self._schema = table, schema
        self._rows: list[dict[str, Any]] = []
        self._size = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        self._rows.append(row)
        self._size += size
        if len(self._rows) == ROWS_PER_GROUP or self._size >= BYTES_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows, self._size = [], 0
