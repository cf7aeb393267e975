"""What `layerprism import` can read: PrismLayers Parquet, PSD and OpenRaster files, layered folders, publications."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from evaluation.samples import open_samples
from exports.formats import Sample, reader_of
from exports.prismlayers.reader import Provenance, Row, iterate_rows, parquet_files, sample_of_row
from layered.codec import BASE_IMAGE_MEMBER, SIDECAR_MEMBER, WHOLE_IMAGE_MEMBER, layer_member
from layered.errors import UserError
from layered.sidecar import Sidecar
from ledger.run_directory import RUN_FILE, SHARDS_FOLDER
from shards.manifest import CHECKSUMS_FILE, MANIFEST_FILE
from shards.reader import Publication

Kind = Literal["prismlayers", "files", "folder", "publication"]

FILE_SUFFIXES: Final = (".psd", ".ora")
_KEY_MEMBERS: Final = (SIDECAR_MEMBER, BASE_IMAGE_MEMBER, WHOLE_IMAGE_MEMBER, layer_member(0))


@dataclass(frozen=True)
class Entry:
    """One sample of a source.

    Attributes:
        file: path of the file that holds it, relative to the source; of a publication or a folder, empty.
        place: the row's number in a Parquet file, the sample's key elsewhere; empty for a file with one sample.
        name: what it is called there.
        alike: samples with the same text are one design and go into one split.
        split: that the sample had in a publication; else empty.
    """

    file: str
    place: str
    name: str
    alike: str
    split: str = ""

    @property
    def label(self) -> str:
        """For people: ``anime-00000.parquet:17``, ``posters/summer.psd``, ``s0000003``."""
        return ":".join(part for part in (self.file, self.place) if part)


class Reader(Protocol):
    """Reads the samples of one source, fastest in the order of its entries. Raises anything for what is broken."""

    def read(self, entry: Entry) -> Sample: ...


@dataclass(frozen=True)
class Source:
    """Something with samples in it: what kind it is, and where it lies."""

    kind: Kind
    path: Path

    @classmethod
    def at(cls, path: Path) -> Source:
        """Looks at what lies there. Raises UserError when nothing does that can be imported."""
        if not path.exists():
            raise UserError(f"there is no {path}: give PrismLayers Parquet, PSD or ORA files, or a layered folder")
        if path.is_file():
            if path.suffix.lower() in FILE_SUFFIXES:
                return cls("files", path)
            if path.suffix == ".parquet":
                return cls("prismlayers", path)
        for folder in (path, path / SHARDS_FOLDER):
            if (folder / MANIFEST_FILE).is_file():
                return cls("publication", folder)
        if (path / RUN_FILE).is_file():
            raise UserError(f"{path} is a run without a publication: finish it, there is nothing to import")
        if path.is_dir():
            if parquet_files(path):
                return cls("prismlayers", path)
            if _pictures(path):
                return cls("files", path)
            if _keys(path):
                return cls("folder", path)
        raise UserError(
            f"{path} is nothing that can be imported: give PrismLayers Parquet, {' or '.join(FILE_SUFFIXES)} files, "
            "a publication or a layered folder"
        )

    def files(self) -> list[Path]:
        """All files that imported samples depend on, sorted: what makes two imports the same."""
        if self.kind == "prismlayers":
            return parquet_files(self.path)
        if self.kind == "files":
            return [self.path] if self.path.is_file() else _pictures(self.path)
        if self.kind == "publication":
            return [self.path / CHECKSUMS_FILE]
        return [file for file in sorted(self.path.iterdir()) if file.is_file() and file.name.partition(".")[0]]

    def entries(self) -> Iterator[Entry]:
        """All samples in order, from what can be known without decoding a picture. Raises UserError."""
        if self.kind == "prismlayers":
            yield from self._rows()
        elif self.kind == "files":
            for file in self.files():
                yield Entry(self._relative(file), "", file.stem, hashlib.sha256(file.read_bytes()).hexdigest())
        elif self.kind == "publication":
            for placement in Publication.open(self.path).placements():
                sample_id = placement.sample_id
                yield Entry("", sample_id, sample_id, sample_id, _usable_split(placement.split))
        else:
            for key in _keys(self.path):
                sidecar = _sidecar_at(self.path / f"{key}.{SIDECAR_MEMBER}")
                yield Entry("", key, key, _design_text(sidecar) if sidecar else key, _split_of(sidecar))

    def _rows(self) -> Iterator[Entry]:
        """A broken file among others is one entry, which fails when it is read."""
        known = Provenance(self.path)
        files = parquet_files(self.path)
        for file in files:
            name, rows = self._relative(file), 0
            try:
                for number, row in iterate_rows(file, pictures=False):
                    row_id = str(row["id"] or "")
                    yield Entry(name, str(number), row_id, _layout_text(row), _split_of(known.get(row_id)))
                    rows = number + 1
            except UserError:
                if len(files) == 1:
                    raise
                yield Entry(name, str(rows), file.stem, name)

    def reader(self) -> Reader:
        """What reads the entries. Raises UserError when the source is gone."""
        if self.kind == "prismlayers":
            return _ParquetReader(self)
        return _FileReader(self) if self.kind == "files" else _MemberReader(self)

    def file_of(self, entry: Entry) -> Path:
        return self.path if self.path.is_file() else self.path / entry.file

    def _relative(self, file: Path) -> str:
        return file.name if self.path.is_file() else file.relative_to(self.path).as_posix()


def unique_ids(entries: Iterator[Entry]) -> Iterator[tuple[str, Entry]]:
    """Each entry with an id that a key may be: its name in lower case, a number added where that is taken."""
    taken: set[str] = set()
    for position, entry in enumerate(entries):
        wanted = re.sub(r"[^a-z0-9_-]+", "-", entry.name.lower()).strip("-")[:72] or f"sample-{position:07d}"
        sample_id, number = wanted, 1
        while sample_id in taken:
            number += 1
            sample_id = f"{wanted}-{number}"
        taken.add(sample_id)
        yield sample_id, entry


class _ParquetReader:
    """Goes on in the file where the last row was read: rows before it are not decoded again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known = Provenance(source.path)
        self._file: Path | None = None
        self._next = 0
        self._rows: Iterator[tuple[int, Row]] = iter(())

    def read(self, entry: Entry) -> Sample:
        file, wanted = self._source.file_of(entry), int(entry.place)
        if file != self._file or wanted < self._next:
            self._file, self._rows = file, iterate_rows(file, pictures=True, first=wanted)
        try:
            for number, row in self._rows:
                self._next = number + 1
                if number == wanted:
                    return sample_of_row(row, entry.name, self._known.get(str(row["id"])))
        except UserError:
            self._file = None  # an iterator that has raised is at its end
            raise
        raise UserError(f"{file} has no row {wanted}")


class _FileReader:
    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, entry: Entry) -> Sample:
        file = self._source.file_of(entry)
        return reader_of(file)(file)


class _MemberReader:
    """Publications and layered folders."""

    def __init__(self, source: Source) -> None:
        self._samples = open_samples(source.path)

    def read(self, entry: Entry) -> Sample:
        return self._samples.sample(entry.place)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in FILE_SUFFIXES and path.is_file())


def _keys(folder: Path) -> list[str]:
    """Keys of a layered folder, also of samples that have lost their sidecar or their base image."""
    keys: dict[str, set[str]] = {}
    for path in folder.iterdir():
        key, _, member = path.name.partition(".")
        if member in _KEY_MEMBERS:
            keys.setdefault(key, set()).add(member)
    # Other programs put other JSON files beside their samples; a sample has pictures.
    return sorted(key for key, members in keys.items() if members - {SIDECAR_MEMBER})


def _layout_text(row: Row) -> str:
    """What a row says beside its pictures and its name."""
    said = {name: value for name, value in row.items() if name not in ("id", "base_image")}
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def _sidecar_at(path: Path) -> Sidecar | None:
    """None where it cannot be read: that is told when the sample is."""
    try:
        return Sidecar.from_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _design_text(sidecar: Sidecar) -> str:
    """What a sidecar says of the design, whatever its id: equal for variations of one brief."""
    layers = [[layer.caption, layer.layout_box] for layer in sidecar.layers]
    return json.dumps([sidecar.whole_caption, sidecar.base_caption, layers], ensure_ascii=False)


def _split_of(sidecar: Sidecar | None) -> str:
    return _usable_split(sidecar.provenance.get("split", "")) if sidecar else ""


def _usable_split(name: str) -> str:
    """A split's name becomes part of file names: anything but letters and digits is no name of ours."""
    return name if re.fullmatch(r"[a-z0-9]+", name) else ""
