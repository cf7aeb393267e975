"""Files of a run in an object store, by fsspec.

Nothing can be renamed there, and a file appears whole with its last byte. What decides between writers is the
conditional create: on S3 a PUT with ``If-None-Match: *``. A store that lets two writers through is refused.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from layered.errors import UserError
from shards.files import ObjectFiles
from shards.patience import DEFAULT_PATIENCE_SECONDS

PROBE_FOLDER = "probe"

_IN_PROCESS = threading.Lock()
"""fsspec's memory file system looks and then writes; its whole world is this process."""


class ObjectStorage(ObjectFiles):
    """`Storage` in an object store.

    Writers spool to a local temporary file first, so that an upload can be repeated when the connection breaks.
    """

    def __init__(self, place: str, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> None:
        super().__init__(place, patience_seconds)
        self._in_memory = place.startswith("memory://")

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """See `Storage.writing`."""
        with tempfile.TemporaryDirectory(prefix="layerprism-") as folder:
            spool = Path(folder) / "spool"
            with spool.open("wb") as stream:
                yield stream
            self.upload(spool, name)

    def upload(self, path: Path, name: str) -> None:
        """See `Storage.upload`; in parts where it is large."""
        self._ask(name, lambda target: self.fs.put_file(str(path), target))

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """See `Storage.write`; whatever has arrived is durable."""
        self._ask(name, lambda path: self.fs.pipe_file(path, data))

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        path = self.path_of(name)

        def attempt(tries_before: int) -> bool:
            try:
                with _IN_PROCESS if self._in_memory else contextlib.nullcontext():
                    self.fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                # A try before may have arrived though its answer did not.
                return tries_before > 0 and bytes(self.fs.cat_file(path)) == data
            return True

        return self.patience.call_counting(self.describe(name), attempt)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with contextlib.suppress(FileNotFoundError):
            self._ask(name, lambda path: self.fs.rm_file(path))

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`."""
        with contextlib.suppress(FileNotFoundError):
            self._ask(folder, lambda path: self.fs.rm(path, recursive=True))

    def remove_temporary(self) -> None:
        """See `Storage.remove_temporary`: the spools of dead writers went with their machines."""

    def probe(self) -> None:
        """Makes sure that the store can be written, and that of two who create a file one is refused.

        Raises:
            UserError: when not; says what the store does wrong.
        """
        name = f"{PROBE_FOLDER}/{secrets.token_hex(8)}"
        try:
            won = [self.create(name, writer) for writer in (b"first", b"second")]
            content = self.read(name)
            self.remove(name)
        except (OSError, TypeError, NotImplementedError) as error:
            raise UserError(f"cannot write to {self.place}: {error}") from error
        if won != [True, False] or content != b"first":
            raise UserError(
                f"{self.place} lets two writers create the same file (it ignores If-None-Match), so a run could be "
                "spoilt: use a store that honours conditional writes, such as AWS S3 or MinIO"
            )
