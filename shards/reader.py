"""Samples out of shards, in order or by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from layered.codec import decode_members
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar
from shards.manifest import MANIFEST_FILE, Placement, placement_of, publication_fingerprint, read_manifest
from shards.tar import iterate_samples, read_members


@dataclass(frozen=True, eq=False)
class Publication:
    """A complete set of shards.

    Attributes:
        path: its folder.
        fingerprint: changes with any byte of any file; trainers pin it.
        manifest: rows of `shards.manifest.MANIFEST_SCHEMA`, in the order of publication.
    """

    path: Path
    fingerprint: str
    manifest: pa.Table

    @classmethod
    def open(cls, path: Path) -> Publication:
        """Raises UserError when the folder is no publication."""
        if not (path / MANIFEST_FILE).is_file():
            raise UserError(f"{path} is not a publication: it has no {MANIFEST_FILE}")
        try:
            return cls(path, publication_fingerprint(path), read_manifest(path))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is a damaged publication ({error}): publish again") from error

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
        with (self.path / placement.shard).open("rb") as stream:
            return read_members(stream, placement.members, names)

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        """A sample, decoded. Raises KeyError, or ValueError when its files are damaged."""
        return decode_members(self.members(sample_id))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {sample_id: position for position, sample_id in enumerate(self.sample_ids)}


def iterate_tar(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples of any one tar, front to back and without a manifest: (sample id, member name → content).

    Raises:
        ValueError: when the file is not a complete tar of samples.
    """
    with path.open("rb") as stream:
        yield from iterate_samples(stream)
