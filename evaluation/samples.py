"""Samples that lie on disk: a publication's, or those of a layered folder, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from layered.codec import BASE_IMAGE_MEMBER, MERGED_IMAGE_MEMBER, SIDECAR_MEMBER, decode_members, layer_member
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar
from shards.files import join_place, local_path
from shards.reader import Publication, holds_publication

_PUBLICATION_OF_A_RUN: Final = "shards"


class Samples(Protocol):
    """Something that holds samples by id."""

    @property
    def sample_ids(self) -> list[str]:
        """All of them, in order."""

    def sidecar(self, sample_id: str) -> Sidecar:
        """What is known of a sample. Raises UserError when its file is damaged."""

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        """A sample, decoded. Raises UserError when its files are damaged."""


def open_samples(place: Path | str) -> Samples:
    """A publication, the publication of a run, or a layered folder. Raises UserError when it is none of them.

    Args:
        place: a path, or of the first two also a URL.
    """
    for folder in (place, join_place(place, _PUBLICATION_OF_A_RUN)):
        if holds_publication(folder):
            return PublishedSamples(Publication.open(folder))
    path = local_path(place)
    if path is None:
        raise UserError(f"{place} is neither a publication nor a run that has one")
    return FolderSamples(path)


class PublishedSamples:
    """The samples of a publication, whatever their split."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication

    @property
    def sample_ids(self) -> list[str]:
        return self._publication.sample_ids

    def sidecar(self, sample_id: str) -> Sidecar:
        members = self._publication.members(sample_id, {SIDECAR_MEMBER})
        return _sidecar(members, f"{self._publication.place}/{sample_id}")

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        return _decoded(self._publication.members(sample_id), f"{self._publication.place}/{sample_id}")


class FolderSamples:
    """The samples of a layered folder."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError when the folder holds no layered image."""
        self._folder = folder
        if not folder.is_dir():
            raise UserError(f"there is no {folder}: give a publication, a run or a layered folder")
        if next(folder.glob("*.json"), None) is None:
            raise UserError(f"{folder} holds no layered image: a KEY.json is missing")

    @property
    def sample_ids(self) -> list[str]:
        # Other programs put other JSON files beside their samples; a sample has pictures.
        keys = (path.name.removesuffix(".json") for path in sorted(self._folder.glob("*.json")))
        return [key for key in keys if (self._folder / f"{key}.{BASE_IMAGE_MEMBER}").is_file()]

    def sidecar(self, sample_id: str) -> Sidecar:
        path = self._folder / f"{sample_id}.{SIDECAR_MEMBER}"
        return _sidecar({SIDECAR_MEMBER: path.read_bytes()}, str(path))

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        # Named instead of looked for: a folder may hold ten thousands of files.
        layers = [layer_member(index) for index in range(self.sidecar(sample_id).layer_count)]
        names = [SIDECAR_MEMBER, BASE_IMAGE_MEMBER, MERGED_IMAGE_MEMBER, *layers]
        files = {name: self._folder / f"{sample_id}.{name}" for name in names}
        members = {name: file.read_bytes() for name, file in files.items() if file.is_file()}
        return _decoded(members, f"{self._folder}/{sample_id}")


def _sidecar(members: Mapping[str, bytes], place: str) -> Sidecar:
    try:
        return Sidecar.from_json(members[SIDECAR_MEMBER])
    except ValueError as error:
        raise UserError(f"{place}: {error}") from error


def _decoded(members: Mapping[str, bytes], place: str) -> tuple[LayeredImage, Sidecar]:
    try:
        return decode_members(members)
    except ValueError as error:
        raise UserError(f"{place} is damaged: {error}") from error
