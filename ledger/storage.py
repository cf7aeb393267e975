"""Files of a run: whole or not at all.

Names are relative to the run directory, with ``/`` between folders. Names that start with a dot are this module's own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".tmp"


class LocalStorage:
    """A folder on a local disk.

    Guarantees: a file that `list`, `exists` or `read` shows is complete and on disk; a writer that dies leaves at most
    a hidden temporary file, which `remove_temporary` takes away.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def list(self, folder: str) -> list[str]:
        """Names of the files in a folder (not below it), sorted; empty when there is no such folder."""
        try:
            with os.scandir(self.path(folder)) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in names)

    def version(self, name: str) -> str:
        """A text that changes when a file is replaced. Raises FileNotFoundError."""
        status = self.path(name).stat()
        return f"{status.st_size}-{status.st_mtime_ns}"

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading, at any position. Raises FileNotFoundError."""
        return self.path(name).open("rb")

    def read(self, name: str) -> bytes:
        """A whole file. Raises FileNotFoundError."""
        return self.path(name).read_bytes()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A stream whose content becomes the file `name` when the block ends well, replacing what stood there."""
        with self._temporary(name) as temporary:
            with temporary.open("wb") as stream:
                yield stream
                _flush(stream)
            temporary.replace(self.path(name))
        _sync_folder(self.path(name).parent)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file at once, replacing what stood there."""
        with self.writing(name) as stream:
            stream.write(data)

    def create(self, name: str, data: bytes) -> bool:
        """Writes a file unless it exists. Of any number of callers exactly one is told True."""
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
        """Removes a file; one that is not there is fine."""
        self.path(name).unlink(missing_ok=True)

    def remove_temporary(self) -> None:
        """Takes away what dead writers left. Only for the one driver of a run: a living writer's file would go too."""
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
