"""PrismLayers Parquet out of anywhere: rows as layouts, for those who only want briefs, or as complete samples."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from exports.labels import CAPTION_SOURCE
from exports.prismlayers.columns import layer_column
from exports.prismlayers.writer import PROVENANCE_FILE
from layered.arrays import Size, UInt8Array
from layered.box import Box
from layered.compositing import over_color
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.pixels import clear_hidden, resize
from layered.sidecar import LayerRecord, Sidecar
from shards.parquet import read_parquet

WANTED_COLUMNS: Final = ("id", "whole_caption", "style_category", "base_image", "base_caption", "layer_count")
MOST_LAYERS: Final = 100
"""Layers are numbered with two digits."""

MOST_PIXELS: Final = 2**28
"""Of all layers of one design together; more is taken for an attack on the memory."""

LARGEST_BOX: Final = 4
"""A box with a side of more than this many times the canvas's longer side is taken for a mistake."""

COLUMNS: Final = "PrismLayers columns"
"""The caption source of samples that were not written here."""

WHITE: Final = (255, 255, 255)
_FORMATS: Final = ("PNG", "WEBP", "JPEG")
_BATCH: Final = 16

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RowLayer:
    """What a row says of one layer, its pixels aside; `box` as it stands there."""

    caption: str
    box: Sequence[int]


def parquet_files(path: Path) -> list[Path]:
    """The data files of a set, sorted: of a file itself, of a folder, or of the folder ``data`` in it; else none."""
    if not path.is_dir():
        return [path] if path.suffix == ".parquet" else []
    for folder in (path, path / "data"):
        if files := [file for file in sorted(folder.glob("*.parquet")) if file.name != PROVENANCE_FILE]:
            return files
    return []


def iterate_rows(file: Path, pictures: bool, first: int = 0) -> Iterator[tuple[int, Row]]:
    """The rows of one file and their numbers, the first being 0; a few at a time are in memory.

    Args:
        pictures: all columns; otherwise, of the pictures, the base image alone, which tells the size of the canvas.
        first: number of the row to begin with; row groups before it are not read.

    Raises:
        UserError: when the file is not Parquet, or lacks a column that every PrismLayers set has.
    """
    try:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            names = parquet.schema_arrow.names
            if lacking := [name for name in WANTED_COLUMNS if name not in names]:
                raise UserError(f"{file} lacks the PrismLayers column {lacking[0]!r}; it has {', '.join(names[:8])} …")
            wanted = rf"{'|'.join(WANTED_COLUMNS)}|layer_\d\d_(caption|box)"
            columns = [name for name in names if pictures or re.fullmatch(wanted, name)]
            number = 0
            groups: list[int] = []
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                if not groups and number + rows <= first:
                    number += rows
                else:
                    groups.append(group)
            for batch in parquet.iter_batches(_BATCH, row_groups=groups, columns=columns, use_threads=False):
                for offset in range(max(0, first - number), len(batch)):
                    yield number + offset, batch.slice(offset, 1).to_pylist()[0]
                number += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {file} as Parquet: {' '.join(str(error).split())}") from error


def layers_of(row: Row) -> list[RowLayer]:
    """The layers that a row announces, lowest first. Raises ValueError when one has no box."""
    count = row["layer_count"]
    if not isinstance(count, int) or not 0 <= count <= MOST_LAYERS:
        raise ValueError(f"layer_count is {count}; 0…{MOST_LAYERS} are possible")
    layers = []
    for index in range(count):
        box = row.get(layer_column(index, "_box"))
        if box is None:
            raise ValueError(f"layer_count is {count}, but {layer_column(index, '_box')} is missing")
        layers.append(RowLayer(row.get(layer_column(index, "_caption")) or "", box))
    return layers


def canvas_of(row: Row) -> Size:
    """The size of the base image, by its header. Raises ValueError."""
    data = _bytes_of(row["base_image"])
    if not data:
        raise ValueError("base_image is missing, so the size of the canvas is not known")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            return opened.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("base_image is not an image that can be read") from error


def sample_of_row(row: Row, sample_id: str, known: Sidecar | None = None) -> tuple[LayeredImage, Sidecar]:
    """A complete sample.

    A layer whose pixels do not have its box's size is resized to it, premultiplied, as PrismLayers' own readers do. A
    base image with transparency is put on white. Provenance tells how far the composite is from the row's whole image.

    Args:
        sample_id: becomes the sample's id.
        known: the sample's sidecar, where `Provenance` has one: seeds, models, licences, texts.

    Raises:
        ValueError: when a picture is missing or broken, or a box is impossible; the column is named.
    """
    canvas = canvas_of(row)
    described = layers_of(row)
    boxes = [_possible_box(index, layer.box, canvas) for index, layer in enumerate(described)]
    if sum(box.area for box in boxes) > MOST_PIXELS:
        raise ValueError(f"its layers have over {MOST_PIXELS // 2**20} million pixels together")
    base = _opaque(_picture(row, "base_image"))
    layers = []
    for index, box in enumerate(boxes):
        pixels = _picture(row, layer_column(index))
        layers.append(Layer(resize(pixels, box.size) if pixels.shape[:2] != (box.height, box.width) else pixels, box))
    image = LayeredImage(base, tuple(layers))
    records = tuple(
        _record(index, layer, text.caption, known)
        for index, (layer, text) in enumerate(zip(layers, described, strict=True))
    )
    sidecar = Sidecar(
        id=sample_id,
        canvas=canvas,
        style_category=row["style_category"] or "",
        whole_caption=row["whole_caption"] or "",
        base_caption=row["base_caption"] or "",
        layer_count=len(records),
        decision=known.decision if known else "",
        layers=records,
        provenance={
            **(known.provenance if known else {CAPTION_SOURCE: COLUMNS}),
            "source_id": str(row["id"]),
            **_difference(row, image),
        },
    )
    return image, sidecar


class Provenance:
    """What `provenance.parquet` of a set written here says of its samples, by the rows' ids; nothing without the file.

    Sidecars are kept as text and parsed when they are asked for.
    """

    def __init__(self, path: Path) -> None:
        """Takes the set's folder, or a data file in it. Raises UserError when the file is there and broken."""
        folders = [path.parent, path.parent.parent] if path.suffix == ".parquet" else [path, path.parent]
        self._file = next(
            (folder / PROVENANCE_FILE for folder in folders if (folder / PROVENANCE_FILE).is_file()), None
        )
        self._texts: dict[str, str] = {}
        if self._file is not None:
            try:
                table = read_parquet(self._file, ["id", "sidecar"])
                self._texts = dict(zip(*(table.column(name).to_pylist() for name in ("id", "sidecar")), strict=True))
            except (OSError, KeyError, pa.ArrowException) as error:
                raise self._broken(error) from error

    def get(self, row_id: str) -> Sidecar | None:
        """The sidecar of a row, if there is one. Raises UserError when it is broken."""
        text = self._texts.get(row_id)
        try:
            return None if text is None else Sidecar.from_json(text.encode())
        except (ValueError, AttributeError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> UserError:
        return UserError(f"cannot read {self._file} ({' '.join(str(error).split())}): restore it, or remove it")


def _possible_box(index: int, coordinates: Sequence[int], canvas: Size) -> Box:
    try:
        box = Box.of(coordinates)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{layer_column(index, '_box')}: {error}") from error
    if max(box.size) > LARGEST_BOX * max(canvas):
        raise ValueError(
            f"{layer_column(index, '_box')}: {box.as_list()} is over {LARGEST_BOX} times as long as the canvas"
        )
    return box


def _record(index: int, layer: Layer, caption: str, known: Sidecar | None) -> LayerRecord:
    """A layer's record: what a known sidecar says of the same layer, or nothing but what the row says."""
    record = LayerRecord.of_layer(index, layer, caption)
    if known is not None and index < known.layer_count and known.layers[index].box == record.box:
        return known.layers[index].model_copy(update={"caption": caption, "sha256": record.sha256})
    return record


def _difference(row: Row, image: LayeredImage) -> dict[str, str]:
    """How far the exact composite is from the row's own whole image, which may have been made in another way."""
    data = _bytes_of(row.get("whole_image"))
    if not data:
        return {}
    stored = _opaque(_picture(row, "whole_image"))
    whole = image.whole()
    if stored.shape != whole.shape:
        return {"whole_difference": f"the whole image has {stored.shape[1]}×{stored.shape[0]} pixels"}
    differences = np.abs(stored.astype(np.int16) - whole)
    return {"whole_difference": f"max {differences.max()}/255, mean {differences.mean():.3f}/255"}


def _picture(row: Row, column: str) -> UInt8Array:
    """Straight RGBA, RGB 0 where alpha is 0."""
    data = _bytes_of(row.get(column))
    if not data:
        raise ValueError(f"{column} is missing")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(f"{column} has over {MOST_PIXELS // 2**20} million pixels")
            return clear_hidden(np.array(opened.convert("RGBA")))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{column} is not an image that can be read: {error}") from error


def _opaque(rgba: UInt8Array) -> UInt8Array:
    return rgba[..., :3] if (rgba[..., 3] == 255).all() else over_color(rgba, WHITE)


def _bytes_of(image: Mapping[str, Any] | bytes | None) -> bytes | None:
    return image.get("bytes") if isinstance(image, Mapping) else image
