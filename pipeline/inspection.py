"""`layerprism inspect`: the samples of a run, a publication, a tar or a layered folder, and all about one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from filters.combined import combined_scores
from filters.config import filters_of_run
from layered.arrays import Size, UInt8Array
from layered.codec import SIDECAR_MEMBER, decode_members
from layered.errors import UserError
from layered.folder import read_layered_folder
from layered.image import LayeredImage
from layered.scores import WHOLE_IMAGE, Score
from layered.sidecar import Sidecar
from ledger.commit import Failure
from ledger.index import RunIndex
from ledger.run_directory import SHARDS_FOLDER, RunDirectory, is_run
from ledger.selection import flagged
from pipeline.exploded_view import exploded_view
from shards.files import join_place, local_path
from shards.manifest import MANIFEST_FILE
from shards.parquet import read_parquet
from shards.reader import Publication, holds_publication, iterate_tar, publication_files

MOST_LINES = 200
"""Samples that a list shows."""

MOST_COMPARED = 100_000
"""Keys that a mistyped one is compared with."""


@dataclass(frozen=True)
class SampleLine:
    """One sample in a list; `canvas` is None for a sample that could not be made."""

    key: str
    canvas: Size | None
    layers: int
    style: str
    caption: str
    state: str


@dataclass(frozen=True)
class SampleFacts:
    """All that is known of one sample.

    Attributes:
        place: the file that holds it.
        state: such as ``published``, ``flagged``, ``failed``.
        sidecar: None for a sample that could not be made.
        scores: of the whole image and of the layers.
        thresholds: lowest acceptable score by name, where they are known.
    """

    key: str
    place: str
    state: str
    sidecar: Sidecar | None
    scores: tuple[Score, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True)
class Inspection:
    """What was found at a path.

    Attributes:
        kind: ``run``, ``publication``, ``tar`` or ``layered folder``.
        total: samples there are; `samples` lists the first of them, none when one was asked for.
        sample: the one that was asked for.
    """

    place: str
    kind: str
    total: int
    samples: tuple[SampleLine, ...] = ()
    sample: SampleFacts | None = None


def inspect(place: Path | str, key: str | None = None) -> Inspection:
    """Lists the samples of anything that holds samples, or finds all facts of one.

    Raises:
        UserError: when the path holds no samples, or none of that key; the nearest keys are named.
    """
    source = _source_of(place)
    if key is None:
        return Inspection(str(place), source.kind, len(source), tuple(islice(source.lines(), MOST_LINES)))
    return Inspection(str(place), source.kind, len(source), sample=source.facts(key))


def draw_sample(place: Path | str, key: str) -> UInt8Array:
    """A sample taken apart: the whole image, the base image, each layer over a checkerboard. RGB ``[h, w, 3]``.

    Raises:
        UserError: as `inspect`, and for a sample that could not be made.
    """
    return exploded_view(*load_sample(place, key))


def load_sample(place: Path | str, key: str | None = None) -> tuple[LayeredImage, Sidecar]:
    """One sample of anything that holds samples; without a key the only one.

    Raises:
        UserError: as `inspect`, for a sample that could not be made or is damaged, and when a key is needed.
    """
    source = _source_of(place)
    if key is None:
        keys = [line.key for line in islice(source.lines(), 2)]
        if len(keys) != 1:
            hint = f"name one of them, such as {join_place(place, keys[0])}" if keys else "there is none to choose"
            raise UserError(f"{place} holds {len(source)} samples: {hint}")
        key = keys[0]
    try:
        return source.sample(key)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"sample {key} of {place} is damaged ({error}): layerprism verify names all damage") from error


class _Source(Protocol):
    """Something that holds samples. `facts` and `sample` raise UserError for a key that is not there."""

    kind: str

    def __len__(self) -> int: ...

    def lines(self) -> Iterator[SampleLine]: ...

    def facts(self, key: str) -> SampleFacts: ...

    def sample(self, key: str) -> tuple[LayeredImage, Sidecar]: ...


def _source_of(place: Path | str) -> _Source:
    if is_run(place):
        return _RunSource(RunDirectory.open(place))
    if holds_publication(place):
        return _PublicationSource(Publication.open(place))
    path = local_path(place)
    if path is None:
        raise UserError(f"{place} is neither a run nor a publication")
    if path.is_dir() and any(path.glob("*.json")):
        return _MembersSource("layered folder", path, lambda: read_layered_folder(path).items())
    if path.is_file() and path.suffix == ".tar":
        return _MembersSource("tar", path, lambda: iterate_tar(path))
    if not path.exists():
        raise UserError(f"there is no {path}: give a run, a publication, a tar or a layered folder")
    raise UserError(f"{path} holds no samples: give a run, a publication, a tar or a layered folder")


class _RunSource:
    """Samples of a run that are committed, finished or failed."""

    kind = "run"

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._index = RunIndex.load(run.storage)
        self._published = _published_ids(join_place(run.place, SHARDS_FOLDER))
        self._filters = filters_of_run(run.info)
        self._thresholds = self._filters.thresholds() if self._filters else {}

    def __len__(self) -> int:
        return len(self._index)

    def lines(self) -> Iterator[SampleLine]:
        for record in self._index.records():
            canvas = None if record.failure else self._sidecar(record.sample_id).canvas
            state = self._state(record.sample_id, record.scores, record.failure)
            yield SampleLine(record.sample_id, canvas, record.layer_count, record.style, record.whole_caption, state)

    def facts(self, key: str) -> SampleFacts:
        self._require(key)
        record = self._index.record(key)
        return SampleFacts(
            key,
            place=record.tar,
            state=self._state(key, record.scores, record.failure),
            sidecar=None if record.failure else self._sidecar(key),
            scores=self._with_combined(record.scores),
            thresholds=self._thresholds,
            failure=record.failure,
        )

    def sample(self, key: str) -> tuple[LayeredImage, Sidecar]:
        self._require(key)
        failure = self._index.record(key).failure
        if failure is not None:
            raise UserError(f"sample {key} has no picture, it failed in {failure.stage}: {failure.error}")
        return self._index.sample(key)

    def _sidecar(self, key: str) -> Sidecar:
        return Sidecar.from_json(self._index.sample_members(key, [SIDECAR_MEMBER])[SIDECAR_MEMBER])

    def _state(self, key: str, scores: Iterable[Score], failure: Failure | None) -> str:
        if failure is not None:
            return "failed"
        if key in self._published:
            return "published"
        if flagged(self._with_combined(scores), self._thresholds):
            return "flagged"
        return "left out" if self._published else "finished"

    def _with_combined(self, scores: Iterable[Score]) -> tuple[Score, ...]:
        rows = tuple(scores)
        return rows + (combined_scores(self._filters.combined, rows) if self._filters else ())

    def _require(self, key: str) -> None:
        if key in self._index:
            return
        if any(planned.sample_id == key for planned in self._run.planned_samples()):
            raise UserError(
                f"sample {key} of {self._run.place} is planned but not made yet: layerprism run goes on with it"
            )
        raise _unknown(key, self._run.place, self._index.sample_ids)


class _PublicationSource:
    """Samples of a set of shards."""

    kind = "publication"

    def __init__(self, publication: Publication) -> None:
        self._publication = publication

    def __len__(self) -> int:
        return len(self._publication)

    def lines(self) -> Iterator[SampleLine]:
        for batch in self._publication.manifest.to_batches(MOST_LINES):
            for row in batch.to_pylist():
                canvas = row["canvas"][0], row["canvas"][1]
                yield SampleLine(
                    row["sample_id"], canvas, row["layer_count"], row["style"], row["whole_caption"], row["split"]
                )

    def facts(self, key: str) -> SampleFacts:
        self._require(key)
        manifest = self._publication.manifest
        (row,) = manifest.filter(pc.equal(manifest.column("sample_id"), key)).to_pylist()
        sidecar = Sidecar.from_json(self._publication.members(key, [SIDECAR_MEMBER])[SIDECAR_MEMBER])
        scores = tuple(Score(key, **score) for score in row["scores"])
        return SampleFacts(key, row["shard"], f"published in split {row['split']}", sidecar, scores)

    def sample(self, key: str) -> tuple[LayeredImage, Sidecar]:
        self._require(key)
        return self._publication.sample(key)

    def _require(self, key: str) -> None:
        known = self._publication.sample_ids
        if key not in known:
            raise _unknown(key, self._publication.place, known)


class _MembersSource:
    """Samples as plain members: a tar, which is read from the front, or a layered folder."""

    def __init__(self, kind: str, path: Path, samples: Callable[[], Iterable[tuple[str, Mapping[str, bytes]]]]) -> None:
        self.kind = kind
        self._path = path
        self._samples = samples

    def __len__(self) -> int:
        return sum(1 for _ in self._members())

    def lines(self) -> Iterator[SampleLine]:
        for key, members in self._members():
            sidecar = self._sidecar(key, members)
            style, caption = sidecar.style_category, sidecar.whole_caption
            yield SampleLine(key, sidecar.canvas, sidecar.layer_count, style, caption, sidecar.decision)

    def facts(self, key: str) -> SampleFacts:
        sidecar = self._sidecar(key, self._find(key))
        scores = tuple(Score(key, WHOLE_IMAGE, name, score) for name, score in sorted(sidecar.scores.items()))
        return SampleFacts(key, str(self._path), sidecar.decision, sidecar, scores)

    def sample(self, key: str) -> tuple[LayeredImage, Sidecar]:
        return decode_members(self._find(key))

    def _find(self, key: str) -> Mapping[str, bytes]:
        known = []
        for name, members in self._members():
            if name == key:
                return members
            known.append(name)
        raise _unknown(key, str(self._path), known)

    def _members(self) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        try:
            yield from self._samples()
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{self._path} cannot be read to its end ({error}): restore it or make it again") from error

    def _sidecar(self, key: str, members: Mapping[str, bytes]) -> Sidecar:
        try:
            return Sidecar.from_json(members[SIDECAR_MEMBER])
        except (KeyError, ValueError) as error:
            raise UserError(f"sample {key} of {self._path} has no sidecar that can be read: {error}") from error


def _unknown(key: str, place: str, known: list[str]) -> UserError:
    # Compared without padding: who types s42 means s0000042, and not s0000421.
    by_short = {_unpadded(name): name for name in known[:MOST_COMPARED]}
    nearest = difflib.get_close_matches(_unpadded(key), by_short, n=3, cutoff=0.0)
    hint = f"; the nearest are {', '.join(by_short[short] for short in nearest)}" if nearest else ""
    return UserError(f"{place} has no sample {key}{hint}")


def _unpadded(key: str) -> str:
    """The key with the leading zeros of its numbers taken away."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", key)


def _published_ids(place: str) -> frozenset[str]:
    """Samples of the current publication; none where there is no publication, or only a damaged one."""
    try:
        with publication_files(place).open(MANIFEST_FILE) as stream:
            return frozenset(read_parquet(stream, ["sample_id"]).column("sample_id").to_pylist())
    except (OSError, pa.ArrowException):
        return frozenset()
