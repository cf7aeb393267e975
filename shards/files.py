"""Files of a run or a publication where they lie, on a local disk or in an object store: how they are read.

A place is a local path, or a URL that fsspec knows: ``s3://bucket/run``, ``memory://run``, ``file:///data/run``. Names
are relative to the place, with ``/`` between folders; names that start with a dot belong to whoever writes.
"""

from __future__ import annotations

import builtins
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from layered.errors import UserError
from shards.patience import DEFAULT_PATIENCE_SECONDS, Patience

READ_AHEAD = 4 * 1024**2
"""Bytes that a reader from front to back asks for at once."""

_READ_AT_ONCE = 32 * 1024**2
_CONNECTIONS = 32
"""To an object store at the same time: the review page asks for two dozen thumbnails at once."""


@dataclass(frozen=True)
class FileEntry:
    """What a listing says of a file.

    Attributes:
        version: changes when the file is replaced.
        modified: when it was written, in seconds since 1970 by the clock of the store.
    """

    size: int
    version: str
    modified: float


class Files(Protocol):
    """Files that can be read, wherever they lie. What is missing raises FileNotFoundError."""

    place: str

    @property
    def is_local(self) -> bool:
        """Whether they lie on a disk, where other programs find them too."""

    def describe(self, name: str = "") -> str:
        """A file for messages and commands; without a name, the place."""

    def exists(self, name: str) -> bool: ...

    def list(self, folder: str) -> builtins.list[str]:
        """Names of the files in a folder (not below it), sorted; empty when there is no such folder.

        Args:
            folder: empty for the place itself.
        """

    def entries(self, folder: str) -> dict[str, FileEntry]:
        """The same with what is known of each file, by one listing."""

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """Names of the folders at the top that start so, sorted."""

    def size(self, name: str) -> int: ...

    def version(self, name: str) -> str:
        """A text that changes when a file is replaced."""

    def open(self, name: str, read_ahead: int = 0) -> BinaryIO:
        """Opens a file for reading, at any position.

        Args:
            read_ahead: bytes to ask a far store for at once, for those who read many small pieces in order.
        """

    def read(self, name: str) -> bytes:
        """A whole file."""


class LocalFiles:
    """A folder on a local disk."""

    is_local = True

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.place = str(root)

    def path(self, name: str) -> Path:
        return self.root / name

    def describe(self, name: str = "") -> str:
        return str(self.path(name)) if name else self.place

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def list(self, folder: str) -> builtins.list[str]:
        """See `Files.list`."""
        try:
            with os.scandir(self.path(folder)) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(_below(folder, name) for name in names)

    def entries(self, folder: str) -> dict[str, FileEntry]:
        """See `Files.entries`."""
        found = {}
        try:
            with os.scandir(self.path(folder)) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file():
                        found[_below(folder, entry.name)] = _local_entry(entry.stat())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return dict(sorted(found.items()))

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """See `Files.folders`."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.name.startswith(prefix) and path.is_dir())

    def size(self, name: str) -> int:
        return self.path(name).stat().st_size

    def version(self, name: str) -> str:
        """See `Files.version`."""
        return _local_entry(self.path(name).stat()).version

    def open(self, name: str, read_ahead: int = 0) -> BinaryIO:
        """See `Files.open`; the system reads ahead by itself."""
        return self.path(name).open("rb")

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()


class ObjectFiles:
    """Objects below a URL, by fsspec. A store that does not answer is waited for, see `Patience`."""

    is_local = False

    def __init__(self, place: str, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> None:
        """Raises UserError when nothing here speaks the URL's protocol."""
        self.place = place.rstrip("/")
        self.patience = Patience(patience_seconds)
        self.fs, self._root = _file_system(self.place)

    def describe(self, name: str = "") -> str:
        return f"{self.place}/{name}" if name else self.place

    def exists(self, name: str) -> bool:
        return bool(self._ask(name, lambda path: self.fs.exists(path)))

    def list(self, folder: str) -> builtins.list[str]:
        """See `Files.list`."""
        return builtins.list(self.entries(folder))

    def entries(self, folder: str) -> dict[str, FileEntry]:
        """See `Files.entries`."""
        found = {}
        for info in self._listing(folder):
            name = info["name"].rsplit("/", 1)[-1]
            if info["type"] == "file" and name and not name.startswith("."):
                found[_below(folder, name)] = _remote_entry(info)
        return dict(sorted(found.items()))

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """See `Files.folders`."""
        names = [info["name"].rstrip("/").rsplit("/", 1)[-1] for info in self._listing("") if info["type"] != "file"]
        return sorted(name for name in names if name.startswith(prefix))

    def size(self, name: str) -> int:
        return int(self._ask(name, lambda path: self.fs.size(path)))

    def version(self, name: str) -> str:
        """See `Files.version`."""
        return _remote_entry(self._ask(name, lambda path: self.fs.info(path))).version

    def open(self, name: str, read_ahead: int = 0) -> BinaryIO:
        """See `Files.open`. Nothing is asked of the store before the first read: a missing file shows then."""
        stream = RangedStream(self, name)
        return cast(BinaryIO, io.BufferedReader(stream, read_ahead) if read_ahead else stream)

    def read(self, name: str) -> bytes:
        parts = [self.read_range(name, 0, _READ_AT_ONCE)]
        while len(parts[-1]) == _READ_AT_ONCE:
            parts.append(self.read_range(name, _READ_AT_ONCE * len(parts), _READ_AT_ONCE))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of a file by one request; fewer, or none, where the file ends before."""
        if size <= 0:
            return b""
        try:
            return bytes(self._ask(name, lambda path: self.fs.cat_file(path, start=start, end=start + size)))
        except OSError as error:
            if _is_beyond_end(error):
                return b""
            raise

    def path_of(self, name: str) -> str:
        """The name as fsspec wants it."""
        return f"{self._root}/{name}" if name else self._root

    def _ask(self, name: str, question: Any) -> Any:
        path = self.path_of(name)
        return self.patience.call(self.describe(name), lambda: question(path))

    def _listing(self, folder: str) -> builtins.list[dict[str, Any]]:
        try:
            listing: builtins.list[dict[str, Any]] = self._ask(folder, lambda path: self.fs.ls(path, detail=True))
        except FileNotFoundError:
            return []
        own = self.path_of(folder).rstrip("/")
        return [info for info in listing if info["name"].rstrip("/") != own]


class RangedStream(io.RawIOBase):
    """A file in a store as a stream that can seek. Each read is one request for just those bytes."""

    def __init__(self, files: ObjectFiles, name: str) -> None:
        self._files, self._name = files, name
        self._position = 0
        self._size: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        self._position = (self._length() if base is None else base) + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = max(self._length() - self._position, 0)
        content = self._files.read_range(self._name, self._position, size)
        self._position += len(content)
        return content

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _length(self) -> int:
        if self._size is None:
            self._size = self._files.size(self._name)
        return self._size


def is_remote(place: str | Path) -> bool:
    """Whether a place is a URL of something else than the local disk."""
    return local_path(place) is None


def local_path(place: str | Path) -> Path | None:
    """A place on the local disk as a path; None for any other."""
    if isinstance(place, Path):
        return place
    if place.startswith(("file://", "local://")):
        return Path(re.sub(r"^\w+://", "", place) or "/")
    return None if re.match(r"^[A-Za-z][A-Za-z0-9+.-]*(://|::)", place) else Path(place)


def join_place(place: str | Path, name: str) -> str:
    """A file or folder below a place, as a place."""
    path = local_path(place)
    return f"{str(place).rstrip('/')}/{name}" if path is None else str(path / name)


def open_files(place: str | Path, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> Files:
    """The files at a place, which need not exist. Raises UserError when nothing here speaks the URL's protocol."""
    path = local_path(place)
    return ObjectFiles(str(place), patience_seconds) if path is None else LocalFiles(path)


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


@contextmanager
def spooled(files: Files, name: str) -> Iterator[BinaryIO]:
    """A file for reading here and there: one from a far store is fetched whole, into a temporary file, first."""
    if files.is_local:
        with files.open(name) as stream:
            yield stream
        return
    with tempfile.TemporaryFile(prefix="layerprism-") as spool:
        with files.open(name) as source:
            while block := source.read(_READ_AT_ONCE):
                spool.write(block)
        spool.seek(0)
        yield cast(BinaryIO, spool)


def _local_entry(status: os.stat_result) -> FileEntry:
    return FileEntry(status.st_size, f"{status.st_size}-{status.st_mtime_ns}", status.st_mtime)


def _remote_entry(info: dict[str, Any]) -> FileEntry:
    written = info.get("LastModified") or info.get("created") or info.get("mtime") or 0.0
    modified = float(written) if isinstance(written, (int, float)) else written.timestamp()
    version = str(info.get("ETag") or f"{info['size']}-{modified}").strip('"')
    return FileEntry(int(info["size"] or 0), version, modified)


def _file_system(place: str) -> tuple[Any, str]:
    import fsspec

    protocol = place.partition("://")[0]
    options: dict[str, Any] = {}
    if protocol in ("s3", "s3a"):
        # Listings must show what others have written meanwhile. An address from the environment becomes part of the
        # file system, so that it goes along where the storage is sent to another process. One retry of the client's
        # own, as this module waits and says so.
        options = {
            "use_listings_cache": False,
            "endpoint_url": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
            "config_kwargs": {
                "connect_timeout": 5,
                "read_timeout": 30,
                "retries": {"max_attempts": 1},
                "max_pool_connections": _CONNECTIONS,
            },
        }
    try:
        system, root = fsspec.core.url_to_fs(place, **options)
    except ImportError as error:
        raise UserError(
            f"{place}: {protocol}:// needs another package ({error}): pip install 'layerprism[s3]'"
        ) from error
    except ValueError as error:
        raise UserError(f"{place} is no place that can be read: {error}") from error
    return system, str(root).rstrip("/")


def _is_beyond_end(error: OSError) -> bool:
    response = getattr(error.__cause__, "response", None)
    return isinstance(response, dict) and response.get("Error", {}).get("Code") in ("InvalidRange", "416")
