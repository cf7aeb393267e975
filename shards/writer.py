"""Samples into shards: one series of tars per split, ``train-00000.tar``, ``val-00000.tar`` and so on.

Equal samples in equal order under equal settings give equal bytes in every file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, Final, cast

from pydantic import BaseModel, ConfigDict, Field

from layered.codec import SIDECAR_MEMBER
from layered.scores import Score
from layered.sidecar import Sidecar
from shards.card import CARD_FILE, CardStatistics, render_card
from shards.croissant import CROISSANT_FILE, Column, Files, write_croissant
from shards.manifest import CHECKSUMS_FILE, MANIFEST_FILE, ManifestWriter, Placement, file_sha256
from shards.reader import Publication
from shards.tar import HEADER_SIZE, Member, TarWriter, padded_size

CROISSANT_TEXT: Final = "Designs made of transparent layers over an opaque base image, in WebDataset shards."
_PARTS: Final = (
    Files("shards", "*.tar", "application/x-tar"),
    Files("manifest", MANIFEST_FILE, "application/x-parquet"),
)
_COLUMNS: Final = (
    Column("sample_id", "string", "key of the sample in its shard"),
    Column("split", "string"),
    Column("shard", "string", "file that holds the sample"),
    Column("style", "string"),
    Column("decision", "string", "a person's verdict, or nothing"),
    Column("layer_count", "int32"),
    Column("whole_caption", "string"),
)


OnFile = Callable[[Path], None]


class ShardConfig(BaseModel):
    """How a publication is cut and what its card says.

    Attributes:
        max_samples_per_shard: readers want several shards per loader worker, so shards should not hold too many.
        max_bytes_per_shard: a shard with more than one sample stays below it.
        title: heading of the dataset card.
        licences: only layers under these are published; empty takes all. A layer without a recorded licence, such as
            drawn text, has the licence ``""``. A sample whose base image has another licence is left out.
        whole_samples: a sample with a layer under another licence is left out as a whole, instead of published without
            the layer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_samples_per_shard: Annotated[int, Field(ge=1)] = 1000
    max_bytes_per_shard: Annotated[int, Field(ge=1)] = 512 * 1024**2
    title: str = "Layered transparent images"
    licences: tuple[str, ...] = ()
    whole_samples: bool = False


@dataclass(frozen=True)
class ShardSample:
    """A sample to publish.

    Attributes:
        split: ``train``, ``val``: the first part of its shard's name.
        images: PNG bytes by member name.
        scores: score rows of the sample and of its layers, for the manifest.
    """

    split: str
    sidecar: Sidecar
    images: Mapping[str, bytes]
    scores: tuple[Score, ...] = ()

    @property
    def members(self) -> dict[str, bytes]:
        return {**self.images, SIDECAR_MEMBER: self.sidecar.to_json()}


@dataclass(frozen=True)
class ShardInfo:
    """A finished shard: file name, split, number of samples, bytes of the file, its sha256."""

    name: str
    split: str
    samples: int
    size: int
    sha256: str


class ShardWriter:
    """Appends samples to the open shard of their split, and opens the next when that one is full.

    A shard appears under its name when it is complete; until then it is ``NAME.tmp``.
    """

    def __init__(self, folder: Path, config: ShardConfig, on_file: OnFile | None = None) -> None:
        """Takes the folder, and what is told of each complete shard; it may remove the file."""
        self._folder = folder
        self._on_file = on_file
        self._config = config
        self._open: dict[str, _OpenShard] = {}
        self._finished: list[ShardInfo] = []

    def add(self, sample: ShardSample) -> Placement:
        """Writes one sample and says where it lies."""
        members = sample.members
        size = sum(HEADER_SIZE + padded_size(len(content)) for content in members.values())
        shard = self._open.get(sample.split)
        if shard is not None and shard.is_full_for(size, self._config):
            self._finish(shard)
            shard = None
        if shard is None:
            number = sum(info.split == sample.split for info in self._finished)
            shard = _OpenShard(self._folder, sample.split, f"{sample.split}-{number:05d}.tar")
            self._open[sample.split] = shard
        return Placement(sample.sidecar.id, sample.split, shard.name, shard.add(sample.sidecar.id, members))

    def close(self) -> list[ShardInfo]:
        """Finishes the open shards; all shards, by name."""
        for shard in self._open.values():
            self._finish(shard)
        self._open = {}
        return sorted(self._finished, key=lambda info: info.name)

    def _finish(self, shard: _OpenShard) -> None:
        self._finished.append(shard.finish())
        if self._on_file is not None:
            self._on_file(self._folder / shard.name)


def write_shards(samples: Iterable[ShardSample], folder: Path, config: ShardConfig) -> list[ShardInfo]:
    """Writes tars alone, without manifest and card, into an existing folder."""
    writer = ShardWriter(folder, config)
    for sample in samples:
        writer.add(sample)
    return writer.close()


def write_publication(
    samples: Iterable[ShardSample],
    folder: Path,
    config: ShardConfig,
    facts: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    on_file: OnFile | None = None,
) -> Publication:
    """Writes a complete publication into a new folder: shards, card, Croissant, checksums and, last, the manifest.

    Args:
        facts: name → text, what the card says of the set's origin.
        metadata: kept in the manifest's schema.
        on_file: is told of each file once it is complete, of the manifest last; it may remove a shard, since none is
            looked at again.

    Raises:
        FileExistsError: when the folder exists.
    """
    folder.mkdir(parents=True)
    writer = ShardWriter(folder, config, on_file)
    manifest = ManifestWriter(folder, metadata or {})
    statistics = CardStatistics()
    for sample in samples:
        manifest.add(writer.add(sample), sample.sidecar, sample.scores)
        statistics.add(sample.split, sample.sidecar, sample.images)
    shards = writer.close()
    (folder / CARD_FILE).write_text(render_card(config.title, facts or {}, statistics), encoding="utf-8")
    licences = {licence for _, _, licence in statistics.sources}
    write_croissant(folder / CROISSANT_FILE, config.title, CROISSANT_TEXT, licences, _PARTS, "manifest", _COLUMNS)
    described = {name: file_sha256(folder / name) for name in (CARD_FILE, CROISSANT_FILE)}
    manifest.finish({**described, **{shard.name: shard.sha256 for shard in shards}})
    if on_file is not None:
        for name in (CARD_FILE, CROISSANT_FILE, CHECKSUMS_FILE, MANIFEST_FILE):
            on_file(folder / name)
    return Publication.open(folder)


@dataclass
class _OpenShard:
    folder: Path
    split: str
    name: str
    samples: int = 0
    stream: _HashingStream = field(init=False)
    tar: TarWriter = field(init=False)

    def __post_init__(self) -> None:
        self.stream = _HashingStream((self.folder / f"{self.name}.tmp").open("wb", buffering=1024**2))
        self.tar = TarWriter(cast(BinaryIO, self.stream))

    def is_full_for(self, size: int, config: ShardConfig) -> bool:
        return self.samples >= config.max_samples_per_shard or self.tar.size + size > config.max_bytes_per_shard

    def add(self, sample_id: str, members: Mapping[str, bytes]) -> tuple[Member, ...]:
        self.samples += 1
        return self.tar.add(sample_id, members)

    def finish(self) -> ShardInfo:
        self.tar.close()
        size = self.stream.close()
        (self.folder / f"{self.name}.tmp").replace(self.folder / self.name)
        return ShardInfo(self.name, self.split, self.samples, size, self.stream.digest.hexdigest())


class _HashingStream:
    """A file opened for writing that hashes what passes, so that no shard is read again for its checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def close(self) -> int:
        """Puts everything on disk; the file's size."""
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        return size
