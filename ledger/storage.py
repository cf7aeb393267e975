"""Files of a run: whole or not at all.

Names are relative to the run, with ``/`` between folders. Names that start with a dot are this module's own.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from shards.files import Files, LocalFiles, local_path
from shards.patience import DEFAULT_PATIENCE_SECONDS

TEMPORARY_SUFFIX = ".tmp"


class Storage(Files, Protocol):
    """Files that can be read and written, on a local disk or in an object store.

    Guarantees: a file that `list`, `exists` or `read` shows is complete; a writer that dies leaves nothing under a
    name. Writing raises OSError for what only a person can help, such as a full disk.
    """

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A stream whose content becomes the file `name` when the block ends well, replacing what stood there."""

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Writes a file at once, replacing what stood there.

        Args:
            durable: it survives a power cut; what can be made again need not.
        """

    def upload(self, path: Path, name: str) -> None:
        """Writes a local file's content, replacing what stood there."""

    def create(self, name: str, data: bytes) -> bool:
        """Writes a file unless it exists. Of any number of callers exactly one is told True.

        Where two callers may bring equal bytes, something in them must tell the callers apart: a store that was cut off
        while it answered is asked whose bytes it has.
        """

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine."""

    def remove_folder(self, folder: str) -> None:
        """Removes a folder with all that is in it; one that is not there is fine."""

    def remove_temporary(self) -> None:
        """Takes away what dead writers left. Only for the one driver of a run: a living writer's file would go too."""


def open_storage(place: str | Path, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> Storage:
    """The storage at a place, which need not exist: a local path, or a URL that fsspec knows.

    Raises:
        UserError: when nothing here speaks the URL's protocol.
    """
    path = local_path(place)
    if path is not None:
        return LocalStorage(path)
    from ledger.object_storage import ObjectStorage

    return ObjectStorage(str(place), patience_seconds)


class LocalStorage(LocalFiles):
    """A folder on a local disk: `Storage` by temporary files, renames and links.

    What it shows is not only complete but on disk; a dead writer's hidden temporary files go with `remove_temporary`.
    """

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """See `Storage.writing`."""
        with self._temporary(name) as temporary:
            with temporary.open("wb") as stream:
                yield stream
                _flush(stream)
            temporary.replace(self.path(name))
        _sync_folder(self.path(name).parent)

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """See `Storage.write`."""
        if durable:
            with self.writing(name) as stream:
                stream.write(data)
            return
        with self._temporary(name) as temporary:
            temporary.write_bytes(data)
            temporary.replace(self.path(name))

    def upload(self, path: Path, name: str) -> None:
        """See `Storage.upload`."""
        with path.open("rb") as source, self.writing(name) as target:
            shutil.copyfileobj(source, target)

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        with self._temporary(name) as temporary:
            with temporary.open("wb") as stream:
                stream.write(data)
                _flush(stream)
            try:
                os.link(temporary, self.path(name))
            except FileExistsError:
                return False
        _sync_folder(self.path(name).parent)
        return True

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        self.path(name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`."""
        if self.path(folder).is_dir():
            shutil.rmtree(self.path(folder))

    def remove_temporary(self) -> None:
        """See `Storage.remove_temporary`."""
        for folder in (self.root, *(path for path in self.root.iterdir() if path.is_dir())):
            for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                leftover.unlink(missing_ok=True)

    @contextmanager
    def _temporary(self, name: str) -> Iterator[Path]:
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
