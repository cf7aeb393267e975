"""Where `layerprism export` takes samples from: a layered folder, a publication, a run or a tar; and which of them."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyarrow import csv

from evaluation.samples import PublishedSamples, open_samples
from layered.codec import SIDECAR_MEMBER, decode_members
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar
from ledger.index import RunIndex
from ledger.run_directory import SHARDS_FOLDER, RunDirectory, is_run
from shards.files import join_place, local_path
from shards.parquet import read_parquet
from shards.reader import Publication, holds_publication
from shards.tar import Member, read_members


class Source(Protocol):
    """Something that holds samples by id."""

    @property
    def sample_ids(self) -> list[str]:
        """All of them, in order."""

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        """A sample, decoded. Raises UserError when its files are damaged."""


def open_source(place: Path | str, whole_run: bool) -> Source:
    """Opens anything that holds samples. Raises UserError when it holds none.

    Args:
        whole_run: of a run, all finished samples instead of the published ones.
    """
    if is_run(place) and (whole_run or not holds_publication(join_place(place, SHARDS_FOLDER))):
        return RunSamples(place)
    path = local_path(place)
    if path is None:
        return open_samples(place)
    if path.is_file() and path.suffix == ".tar":
        return TarSamples(path)
    if not path.is_dir():
        raise UserError(f"there is no {path}: give a layered folder, DIR/KEY for one sample, a publication or a run")
    return open_samples(path)


def split_key(place: Path | str) -> tuple[Path | str, str | None]:
    """``DIR/KEY`` as (DIR, KEY); what exists under its own name is (place, None), and so is any URL."""
    path = local_path(place)
    if path is None:
        return place, None
    if path.exists() or not path.parent.exists() or path.suffix:
        return path, None
    return path.parent, path.name


def identity(place: Path | str) -> str:
    """What tells this source from another one: fingerprints of a run or a publication, the place of anything else."""
    found = [f"run {RunDirectory.open(place).fingerprint}"] if is_run(place) else []
    for folder in (place, join_place(place, SHARDS_FOLDER)):
        if holds_publication(folder):
            found.append(f"publication {Publication.open(folder).fingerprint}")
    path = local_path(place)
    return ", ".join(found) or (str(place) if path is None else str(path.resolve()))


def changed_at(place: Path | str, sample_id: str) -> float:
    """When a sample of a layered folder was last written, in seconds since 1970; 0 for what never changes in place."""
    path = local_path(place)
    if path is None:
        return 0.0
    sidecar = path / f"{sample_id}.{SIDECAR_MEMBER}"
    return sidecar.stat().st_mtime if sidecar.is_file() else 0.0


def chosen_ids(place: Path | str, source: Source, select: Path | None, keys: Sequence[str]) -> list[str]:
    """The samples to export, in the source's order: those named, else all.

    Args:
        place: of the source.
        select: a file that names them: text with one id a line, CSV or Parquet with a column ``sample_id``, or, of a
            run, a query of the review page as JSON.
        keys: more of them.

    Raises:
        UserError: when the file cannot be read, names nothing, or names a sample that is not there.
    """
    known = source.sample_ids
    if select is None and not keys:
        if not known:
            raise UserError("there is no sample to export")
        return known
    selected = _selected(place, select) if select else []
    wanted = {*keys, *selected}
    if not wanted:
        raise UserError(f"{select} names no sample")
    if strangers := wanted - set(known):
        raise UserError(f"there is no sample {min(strangers)} among {len(known)}: layerprism inspect lists them")
    return [sample_id for sample_id in known if sample_id in wanted]


def _selected(place: Path | str, select: Path) -> list[str]:
    if select.suffix == ".json":
        from pipeline.export_query import queried_ids

        return queried_ids(place, select)
    return read_ids(select)


def read_ids(path: Path) -> list[str]:
    """The sample ids that a text, CSV or Parquet file names. Raises UserError when it cannot be read."""
    try:
        if path.suffix == ".parquet":
            column = read_parquet(path, ["sample_id"]).column("sample_id")
        elif path.suffix == ".csv":
            column = csv.read_csv(path, csv.ReadOptions(use_threads=False)).column("sample_id")
        else:
            lines = path.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError, KeyError, pa.ArrowException) as error:
        raise UserError(f"cannot read sample ids from {path}: {error}") from error
    return [str(sample_id) for sample_id in dict.fromkeys(column.to_pylist()) if sample_id is not None]


class RunSamples:
    """The samples of a run: as they are published, and those that are not published as they were made."""

    def __init__(self, place: Path | str) -> None:
        run = RunDirectory.open(place)
        self._index = RunIndex.load(run.storage)
        published = join_place(place, SHARDS_FOLDER)
        self._published = PublishedSamples(Publication.open(published)) if holds_publication(published) else None
        self._published_ids = frozenset(self._published.sample_ids if self._published else ())

    @property
    def sample_ids(self) -> list[str]:
        failed = self._index.failures()
        return [sample_id for sample_id in self._index.sample_ids if sample_id not in failed]

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        if self._published is not None and sample_id in self._published_ids:
            return self._published.sample(sample_id)
        try:
            return self._index.sample(sample_id)
        except (KeyError, ValueError) as error:
            raise UserError(f"sample {sample_id} is damaged: {error}") from error


class TarSamples:
    """The samples of any one tar."""

    def __init__(self, path: Path) -> None:
        """Looks at all headers once. Raises UserError when the file is not a complete tar of samples."""
        self._path = path
        self._members: dict[str, list[Member]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for entry in tar:
                    key, _, name = entry.name.partition(".")
                    self._members.setdefault(key, []).append(Member(name, entry.offset_data, entry.size, ""))
        except (OSError, tarfile.TarError) as error:
            raise UserError(f"{path} is not a complete tar: {error}") from error

    @property
    def sample_ids(self) -> list[str]:
        return list(self._members)

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        try:
            with self._path.open("rb") as stream:
                return decode_members(read_members(stream, self._members[sample_id]))
        except (KeyError, ValueError) as error:
            raise UserError(f"sample {sample_id} of {self._path} is damaged: {error}") from error
