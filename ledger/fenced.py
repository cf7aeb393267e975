"""The storage of a run as its driver sees it: every write first makes sure that the driver still rules."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ledger.lease import Fence
from ledger.storage import Storage
from shards.files import FileEntry


class FencedStorage:
    """`Storage` that writes only while `fence`, if there is one, holds. Raises LostLeaseError otherwise.

    Reading is as ever. Removing and writing without a fence is for those who need no lease: reviewers who push
    decisions, and readers who keep the index.
    """

    def __init__(self, storage: Storage, fence: Fence | None = None) -> None:
        self.inner, self.fence = storage, fence
        self.place = storage.place

    @property
    def is_local(self) -> bool:
        return self.inner.is_local

    def describe(self, name: str = "") -> str:
        return self.inner.describe(name)

    def exists(self, name: str) -> bool:
        return self.inner.exists(name)

    def list(self, folder: str) -> builtins.list[str]:
        return self.inner.list(folder)

    def entries(self, folder: str) -> dict[str, FileEntry]:
        return self.inner.entries(folder)

    def folders(self, prefix: str = "") -> builtins.list[str]:
        return self.inner.folders(prefix)

    def size(self, name: str) -> int:
        return self.inner.size(name)

    def version(self, name: str) -> str:
        return self.inner.version(name)

    def open(self, name: str, read_ahead: int = 0) -> BinaryIO:
        return self.inner.open(name, read_ahead)

    def read(self, name: str) -> bytes:
        return self.inner.read(name)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        self._check()
        with self.inner.writing(name) as stream:
            yield stream
            self._check()

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        self._check()
        self.inner.write(name, data, durable)

    def upload(self, path: Path, name: str) -> None:
        self._check()
        self.inner.upload(path, name)

    def create(self, name: str, data: bytes) -> bool:
        self._check()
        return self.inner.create(name, data)

    def remove(self, name: str) -> None:
        self._check()
        self.inner.remove(name)

    def remove_folder(self, folder: str) -> None:
        self._check()
        self.inner.remove_folder(folder)

    def remove_temporary(self) -> None:
        self._check()
        self.inner.remove_temporary()

    def _check(self) -> None:
        if self.fence is not None:
            self.fence.check()
