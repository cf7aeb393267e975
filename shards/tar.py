"""Samples in a tar, in the WebDataset convention: ``KEY.member``, a sample's members side by side and sorted by name.

`TarWriter` and the readers below are mirror images. Equal samples in equal order give equal bytes: no time, owner or
order of arrival gets into the file.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from layered.codec import sample_key

HEADER_SIZE = tarfile.BLOCKSIZE
"""Bytes before each member's content."""

_MODE, _OWNER = 0o444, "bigdata"
"""Of every file, as webdataset writes them."""


_MOST_BETWEEN = 16 * 1024
"""Bytes between two members that are read along rather than left out by a second read."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where one file of a sample lies in a tar.

    Attributes:
        name: without the sample's key, e.g. ``layer_00.png``.
        offset: of the first byte of its content, from the start of the tar.
        size: of its content in bytes.
        sha256: of its content, hexadecimal.
    """

    name: str
    offset: int
    size: int
    sha256: str


def is_sample_member(name: str) -> bool:
    """Whether a file belongs to the sample itself, and not to what a chunk keeps beside it (raws, thumbnails)."""
    return not name.startswith(("raw_", "thumb_"))


def padded_size(size: int) -> int:
    """Bytes that a content of `size` occupies in a tar, its header aside: whole blocks of 512."""
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


class TarWriter:
    """Appends samples to a binary stream that starts empty; `close` ends the tar and leaves the stream open."""

    def __init__(self, stream: BinaryIO) -> None:
        # As webdataset's own writer does it, whose import would bring torch into every process that writes.
        self._tar = tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    @property
    def size(self) -> int:
        """Bytes written so far, without the blocks that end a tar."""
        return self._tar.offset

    def add(self, sample_id: str, members: Mapping[str, bytes]) -> tuple[Member, ...]:
        """Writes one sample and says where each member now lies. Raises ValueError for a name no tar can hold."""
        key = sample_key(sample_id)
        placed = []
        for name in sorted(members):
            content = members[name]
            entry = tarfile.TarInfo(f"{key}.{name}")
            entry.size, entry.mode, entry.uname, entry.gname = len(content), _MODE, _OWNER, _OWNER
            self._tar.addfile(entry, io.BytesIO(content))
            offset = self.size - padded_size(len(content))
            placed.append(Member(name, offset, len(content), hashlib.sha256(content).hexdigest()))
        return tuple(placed)

    def close(self) -> None:
        self._tar.close()


def iterate_samples(stream: BinaryIO) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Reads a tar from front to back: (sample id, member name → content), sample after sample.

    Raises:
        ValueError: when the stream is not a complete tar, or holds a file that belongs to no sample.
    """
    current_key = ""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for entry in tar:
                key, dot, name = entry.name.partition(".")
                file = tar.extractfile(entry)
                if not dot or file is None:
                    raise ValueError(f"{entry.name} is not a file of the form KEY.member")
                if members and key != current_key:
                    yield current_key, members
                    members = {}
                current_key = key
                members[name] = file.read()
    except tarfile.TarError as error:
        raise ValueError(f"not a complete tar: {error}") from error
    if members:
        yield current_key, members


def read_members(stream: BinaryIO, members: Iterable[Member], names: Collection[str] | None = None) -> dict[str, bytes]:
    """Reads the members of one sample by byte range: all of them, or only those in `names`.

    Raises:
        ValueError: when the tar ends before a member does.
    """
    wanted = sorted(
        (member for member in members if names is None or member.name in names), key=lambda member: member.offset
    )
    contents: dict[str, bytes] = {}
    while wanted:
        # Neighbours are read at once: where each read is a journey, as to an object store, that counts.
        together = [wanted.pop(0)]
        while wanted and wanted[0].offset - (together[-1].offset + together[-1].size) <= _MOST_BETWEEN:
            together.append(wanted.pop(0))
        start = together[0].offset
        stream.seek(start)
        content = stream.read(together[-1].offset + together[-1].size - start)
        for member in together:
            part = content[member.offset - start : member.offset - start + member.size]
            if len(part) != member.size:
                raise ValueError(f"{member.name} is cut off: {len(part)} of {member.size} bytes are there")
            contents[member.name] = part
    return contents


def check_members(stream: BinaryIO, sample_id: str, members: Iterable[Member]) -> list[tuple[str, str]]:
    """Compares every byte that a sample occupies in a tar with its record: (member name, what is wrong).

    Headers and padding are looked at too, so that whatever differs in the file can be laid to a sample.
    """
    findings = []
    for member in members:
        stream.seek(member.offset - HEADER_SIZE)
        header = stream.read(HEADER_SIZE)
        record = stream.read(padded_size(member.size))
        content, padding = record[: member.size], record[member.size :]
        if len(record) != padded_size(member.size):
            findings.append((member.name, "is cut off"))
        elif not _is_header_of(header, f"{sample_key(sample_id)}.{member.name}", member.size):
            findings.append((member.name, "has a damaged tar header"))
        elif hashlib.sha256(content).hexdigest() != member.sha256:
            findings.append((member.name, "does not have the recorded sha256"))
        elif padding.strip(b"\0"):
            findings.append((member.name, "is followed by bytes that should be zero"))
    return findings


def _is_header_of(header: bytes, name: str, size: int) -> bool:
    try:
        entry = tarfile.TarInfo.frombuf(header, tarfile.ENCODING, "surrogateescape")
        canonical = entry.tobuf(tarfile.USTAR_FORMAT)  # tar's own checksum leaves some bytes of the header out
    except (tarfile.HeaderError, ValueError):
        return False
    return canonical == header and entry.name == name and entry.size == size
