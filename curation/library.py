"""The samples of a run for the page: columns in memory, everything else by byte range when it is asked for.

Nothing is decoded here. Bytes go out only when their header says that they are a WebP or PNG picture of a size that a
browser can show: a browser that is given a picture of a million by a million pixels dies.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.columns import READ_COLUMNS, Columns, Part, ScoreDeriver
from curation.errors import RequestError, not_found
from layered.arrays import Size
from layered.codec import SIDECAR_MEMBER
from layered.errors import FailedWorkError, UserError
from layered.scores import Score
from layered.sidecar import Sidecar
from ledger.commit import ChunkRevision, tar_of, thumbnail_member
from ledger.index import read_record, record_batches, record_versions
from ledger.rescoring import read_rescored, rescored_files
from ledger.run_directory import PLAN_FILE, RunDirectory

MOST_PIXELS: Final = 1 << 28
LONGEST_SIDE: Final = 16384
MOST_THUMBNAIL_BYTES: Final = 1 << 20
MOST_IMAGE_BYTES: Final = 1 << 28
MOST_SIDECAR_BYTES: Final = 1 << 24
PNG_HEADER_SIZE: Final = 33
IMAGE_MEMBER: Final = re.compile(r"(base_image|whole_image|merged_image|layer_\d{2})\.png")

_KEPT_CHUNKS: Final = 48
_MOST_KEPT_BYTES: Final = 32 * 1024**2
"""Of thumbnails that were read before they were asked for."""

_MOST_BETWEEN: Final = 4096
"""Bytes between two files that are cheaper to read along than to ask twice for."""

_READERS: Final = 24
_RUN_IS_BEING_MADE_ANEW: Final = "the run has changed under the page: reload it"


@dataclass(frozen=True)
class Place:
    """Where bytes lie in a chunk."""

    tar: str
    offset: int
    size: int


@dataclass(frozen=True)
class SampleFiles:
    """What a chunk's record says of one sample: its files by member name, and its scores."""

    version: str
    members: dict[str, Place]
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class News:
    """What a run has got since it was last looked at: its commits and passes of scores, and the columns of new ones."""

    versions: dict[ChunkRevision, str]
    passes: dict[ChunkRevision, list[str]]
    parts: list[Part]


class Library:
    """The finished samples of a run.

    `read` and `merge` are called by one thread at a time; everything else may be called by many.
    """

    def __init__(self, run: RunDirectory, thresholds: dict[str, float], derive: ScoreDeriver | None = None) -> None:
        self.run = run
        self.storage = run.storage
        self.columns = Columns(thresholds, derive)
        self._plan = ("", 0)
        self._known: dict[ChunkRevision, str] = {}
        self._passes: dict[ChunkRevision, list[str]] = {}
        self._versions: list[str] = []
        self._canvases = np.empty((0, 2), np.int32)
        self._thumbnails: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._thumbnail_bytes = 0
        self._readers = ThreadPoolExecutor(_READERS, "look-ahead")
        self._chunks: OrderedDict[str, dict[str, SampleFiles]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def planned(self) -> int:
        """Samples that the run's plan has."""
        version = self.storage.version(PLAN_FILE)
        if version != self._plan[0]:
            with self.storage.open(PLAN_FILE) as stream:
                self._plan = version, int(pq.read_metadata(stream).num_rows)
        return self._plan[1]

    @property
    def complete(self) -> bool:
        """Whether every planned sample is finished or has failed."""
        return len(self.columns) + len(self.columns.failed) >= self.planned

    def refresh(self) -> int:
        """Takes in what was committed or scored again since the last call: how many samples are new or different."""
        return self.merge(self.read())

    def read(self) -> News:
        """Reads what is new, for `merge`; the slow half of `refresh`, which changes nothing that the page shows."""
        versions = record_versions(self.storage)
        passes: dict[ChunkRevision, list[str]] = {}
        for commit, name in rescored_files(self.storage):
            passes.setdefault(commit, []).append(name)
        unchanged = {
            commit
            for commit, version in versions.items()
            if self._known.get(commit) == version and self._passes.get(commit) == passes.get(commit)
        }
        parts = []
        if versions.keys() - unchanged:
            batches = record_batches(self.storage, READ_COLUMNS, unchanged)
            parts = self.columns.read(batches, passes.keys(), lambda commit: self._rescored(passes, commit))
        return News(versions, passes, parts)

    def merge(self, news: News) -> int:
        """The quick half of `refresh`."""
        if not news.parts:
            return 0
        changed = self.columns.merge(news.parts)
        unnamed = self.columns.commits[len(self._versions) :]
        self._versions += [self._version_of(commit, news.versions.get(commit, "")) for commit in unnamed]
        self._known, self._passes = news.versions, news.passes
        with self._lock:
            self._chunks.clear()
        self._canvases = np.full((len(self.columns), 2), -1, np.int32)
        return changed

    def row(self, sample_id: str) -> int:
        """Raises RequestError for a sample that there is not."""
        row = self.columns.rows.get(sample_id)
        if row is None:
            state = "has failed" if sample_id in self.columns.failed else "is not in this run"
            raise not_found(f"sample {sample_id[:64]} {state}")
        return row

    def version(self, row: int) -> str:
        """A text for addresses that changes whenever the sample's bytes may have."""
        return self._versions[int(self.columns.commit[row])]

    def thumbnail_address(self, row: int, name: str = "whole") -> str | None:
        if not self.columns.thumb[row, 1]:
            return None
        return f"/thumb/{self.version(row)}/{self.columns.ids[row]}/{name}.webp"

    def look_ahead(self, rows: Iterable[int]) -> None:
        """Reads what the grid is about to show: canvases, and thumbnails into memory.

        Both lie side by side in a chunk and are read at once, many samples at a time: where each read takes tens of
        milliseconds, as from an object store, a grid that asked for them one by one could not be scrolled.
        """
        unknown = [row for row in rows if self._canvases[row, 0] < 0]
        if unknown:
            list(self._readers.map(self._peek, unknown))

    def canvas(self, row: int) -> Size:
        """Width and height by the header of the whole image's PNG; (0, 0) where that is damaged."""
        if self._canvases[row, 0] < 0:
            self._peek(row)
        width, height = self._canvases[row].tolist()
        return width, height

    def thumbnail(self, version: str, sample_id: str, name: str) -> bytes:
        """The WebP bytes of the whole image's thumbnail (``whole``) or of a layer's (``00``)."""
        row = self._current(version, sample_id)
        with self._lock:
            known = self._thumbnails.get((version, row)) if name == "whole" else None
        if known is not None:
            check_webp(known)
            return known
        if name == "whole":
            offset, size = self.columns.thumb[row].tolist()
            place = Place(self._tar(row), offset, size)
        else:
            place = self._place(row, thumbnail_member(int(name)))
        if not 0 < place.size <= MOST_THUMBNAIL_BYTES:
            raise RequestError(422, f"{sample_id}: the thumbnail {name} has {place.size} bytes and is not shown")
        content = self.read_bytes(place)
        check_webp(content)
        return content

    def image(self, version: str, sample_id: str, member: str) -> bytes:
        """The PNG bytes of a member of `IMAGE_MEMBER`."""
        if not IMAGE_MEMBER.fullmatch(member):
            raise not_found(f"{member[:64]} is no picture of a sample")
        content = self.member(self._current(version, sample_id), member)
        png_size(content)
        return content

    def member(self, row: int, name: str) -> bytes:
        """A file of a sample. Raises RequestError when there is none, or one too large for a page."""
        place = self._place(row, name)
        if not 0 < place.size <= MOST_IMAGE_BYTES:
            raise RequestError(422, f"{self.columns.ids[row]}: {name} has {place.size} bytes and is not shown")
        return self.read_bytes(place)

    def sidecar(self, row: int) -> Sidecar:
        """Raises RequestError when it is damaged."""
        place = self._place(row, SIDECAR_MEMBER)
        if place.size > MOST_SIDECAR_BYTES:
            raise RequestError(422, f"{self.columns.ids[row]}: the sidecar has {place.size} bytes and is not read")
        try:
            return Sidecar.from_json(self.read_bytes(place))
        except ValueError as error:
            raise RequestError(422, f"{self.columns.ids[row]}: {error}") from error

    def files(self, row: int) -> SampleFiles:
        """What the record of the sample's commit says of it, with scores computed again in place of older ones."""
        commit = self._commit(row)
        sample_id, version = self.columns.ids[row], self.version(row)
        with self._lock:
            chunk = self._chunks.get(version)
            if chunk is not None:
                self._chunks.move_to_end(version)
        if chunk is None:
            chunk = self._read_chunk(commit, version)
            with self._lock:
                self._chunks[version] = chunk
                while len(self._chunks) > _KEPT_CHUNKS:
                    self._chunks.popitem(last=False)
        if sample_id not in chunk:
            raise RequestError(409, _RUN_IS_BEING_MADE_ANEW)
        return chunk[sample_id]

    def read_bytes(self, place: Place) -> bytes:
        """Raises RequestError when the chunk is gone or shorter than its record says."""
        try:
            with self.storage.open(place.tar) as stream:
                stream.seek(place.offset)
                content = stream.read(place.size)
        except (OSError, ValueError, FailedWorkError) as error:
            raise RequestError(422, f"{place.tar} cannot be read: {error}") from error
        if len(content) != place.size:
            raise RequestError(422, f"{place.tar} is shorter than its record says: layerprism verify names the damage")
        return content

    def _peek(self, row: int) -> None:
        """Reads the whole image's thumbnail and the header of its PNG, in one go where they are neighbours."""
        tar = self._tar(row)
        (thumb, thumb_size), (whole, whole_size) = self.columns.thumb[row].tolist(), self.columns.whole[row].tolist()
        header_size = min(whole_size, PNG_HEADER_SIZE)
        neighbours = 0 < thumb_size <= MOST_THUMBNAIL_BYTES and 0 <= whole - (thumb + thumb_size) <= _MOST_BETWEEN
        try:
            if neighbours:
                content = self.read_bytes(Place(tar, thumb, whole + header_size - thumb))
                self._keep_thumbnail(row, content[:thumb_size])
                header = content[len(content) - header_size :]
            else:
                header = self.read_bytes(Place(tar, whole, header_size))
            self._canvases[row] = png_size(header)
        except RequestError:
            self._canvases[row] = 0

    def _keep_thumbnail(self, row: int, content: bytes) -> None:
        key = (self.version(row), row)
        with self._lock:
            if key in self._thumbnails:
                return
            self._thumbnails[key] = content
            self._thumbnail_bytes += len(content)
            while self._thumbnail_bytes > _MOST_KEPT_BYTES:
                self._thumbnail_bytes -= len(self._thumbnails.popitem(last=False)[1])

    def _current(self, version: str, sample_id: str) -> int:
        row = self.row(sample_id)
        if self.version(row) != version:
            raise not_found(f"sample {sample_id} has been made again")
        return row

    def _commit(self, row: int) -> ChunkRevision:
        return self.columns.commits[int(self.columns.commit[row])]

    def _tar(self, row: int) -> str:
        return self.columns.tars[int(self.columns.commit[row])]

    def _place(self, row: int, member: str) -> Place:
        place = self.files(row).members.get(member)
        if place is None:
            raise not_found(f"sample {self.columns.ids[row]} has no {member}")
        return place

    def _read_chunk(self, commit: ChunkRevision, version: str) -> dict[str, SampleFiles]:
        try:
            record = read_record(self.storage, commit)
            rows = record.select(["sample_id", "members", "scores"]).to_pylist()
            passes = self._rescored(self._passes, commit)
        except (UserError, OSError, pa.ArrowException) as error:
            raise RequestError(422, str(error)) from error
        scores: dict[str, dict[tuple[int, str], float]] = {row["sample_id"]: {} for row in rows}
        for row in (*rows, *(row for table in passes for row in table.select(["sample_id", "scores"]).to_pylist())):
            for score in row["scores"] if row["sample_id"] in scores else ():
                scores[row["sample_id"]][score["layer_index"], score["name"]] = score["score"]
        return {
            row["sample_id"]: SampleFiles(
                version,
                {each["name"]: Place(tar_of(commit, record), each["offset"], each["size"]) for each in row["members"]},
                tuple(
                    Score(row["sample_id"], layer, name, value)
                    for (layer, name), value in sorted(scores[row["sample_id"]].items())
                ),
            )
            for row in rows
        }

    def _rescored(self, passes: Mapping[ChunkRevision, list[str]], commit: ChunkRevision) -> list[pa.Table]:
        """Scores computed again for a commit, oldest first."""
        return [read_rescored(self.storage, name) for name in passes.get(commit, ())]

    def _version_of(self, commit: ChunkRevision, record: str) -> str:
        text = f"{self.run.fingerprint}/{commit.name}/{record}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def png_size(data: bytes) -> Size:
    """Width and height by a PNG's header. Raises RequestError when it is none, or larger than a browser can show."""
    if len(data) < PNG_HEADER_SIZE or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise RequestError(422, "the picture is no PNG")
    width, height = struct.unpack(">II", data[16:24])
    if not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE and width * height <= MOST_PIXELS):
        raise RequestError(422, f"the picture has {width}×{height} pixels and is not shown")
    return width, height


def check_webp(data: bytes) -> None:
    """Raises RequestError unless the bytes are a WebP file of their whole length."""
    length = struct.unpack("<I", data[4:8])[0] + 8 if len(data) >= 12 else -1
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or not length - 1 <= len(data) <= length + 1:
        raise RequestError(422, "the thumbnail is no WebP picture")
