"""Samples out of shards, in order or by name.

A publication is a folder. In an object store, where no folder can be renamed, the current publication of a run has a
name of its own, and ``shards.json`` beside it says which: what is opened as ``RUN/shards`` is that folder.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from layered.codec import decode_members
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar
from shards.files import Files, join_place, open_files
from shards.manifest import MANIFEST_FILE, Placement, placement_of, publication_fingerprint, read_manifest
from shards.tar import iterate_samples, read_members


@dataclass(frozen=True, eq=False)
class Publication:
    """A complete set of shards.

    Attributes:
        files: its folder.
        fingerprint: changes with any byte of any file; trainers pin it.
        manifest: rows of `shards.manifest.MANIFEST_SCHEMA`, in the order of publication.
    """

    files: Files
    fingerprint: str
    manifest: pa.Table

    @classmethod
    def open(cls, place: Path | str) -> Publication:
        """Opens the publication in a folder or at a URL. Raises UserError when there is none."""
        files = publication_files(place)
        if not files.exists(MANIFEST_FILE):
            raise UserError(f"{place} is not a publication: it has no {MANIFEST_FILE}")
        try:
            return cls(files, publication_fingerprint(files), read_manifest(files))
        except (OSError, ValueError) as error:
            raise UserError(f"{files.place} is a damaged publication ({error}): publish again") from error

    @property
    def place(self) -> str:
        """The folder or its URL, for messages."""
        return self.files.place

    @property
    def path(self) -> Path:
        """The folder of a publication on the local disk."""
        return Path(self.files.place)

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def sample_ids(self) -> list[str]:
        """In the order of publication."""
        return [str(sample_id) for sample_id in self.manifest.column("sample_id").to_pylist()]

    def placement(self, sample_id: str) -> Placement:
        """Where a sample lies. Raises KeyError."""
        return placement_of(self.manifest.slice(self._positions[sample_id], 1).to_pylist()[0])

    def placements(self) -> Iterator[Placement]:
        """Where all samples lie, in the order of publication."""
        for batch in self.manifest.select(["sample_id", "split", "shard", "members"]).to_batches(1024):
            yield from (placement_of(row) for row in batch.to_pylist())

    def members(self, sample_id: str, names: Collection[str] | None = None) -> dict[str, bytes]:
        """A sample's files by byte range, all or those in `names`. Raises KeyError, or ValueError for a cut shard."""
        placement = self.placement(sample_id)
        with self.files.open(placement.shard) as stream:
            return read_members(stream, placement.members, names)

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        """A sample, decoded. Raises KeyError, or ValueError when its files are damaged."""
        return decode_members(self.members(sample_id))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {sample_id: position for position, sample_id in enumerate(self.sample_ids)}


def publication_files(place: Path | str) -> Files:
    """The files of the publication at a place, where a pointer stands for it those of the folder that it names."""
    files = open_files(place)
    if files.is_local or files.exists(MANIFEST_FILE):
        return files
    parent, _, name = files.place.rpartition("/")
    folder = current_folder(open_files(parent), name)
    return files if folder is None else open_files(join_place(parent, folder))


def current_folder(files: Files, name: str) -> str | None:
    """The folder below a place that holds its publication `name`; None when there is no complete one."""
    if files.is_local:
        return name if files.exists(f"{name}/{MANIFEST_FILE}") else None
    try:
        return str(json.loads(files.read(pointer_of(name)))["folder"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def holds_publication(place: Path | str) -> bool:
    """Whether a publication can be opened there."""
    return publication_files(place).exists(MANIFEST_FILE)


def pointer_of(name: str) -> str:
    """The file in an object store that says which folder a publication is."""
    return f"{name}.json"


def iterate_tar(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples of any one tar, front to back and without a manifest: (sample id, member name → content).

    Raises:
        ValueError: when the file is not a complete tar of samples.
    """
    with path.open("rb") as stream:
        yield from iterate_samples(stream)
