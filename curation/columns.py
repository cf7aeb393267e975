"""A run as columns in memory: what the grid filters, sorts and shows, and nothing else of it.

Rows are never moved: a sample keeps its row for as long as the page runs, also when it is made again or when more
samples are committed. About 250 bytes a sample and 4 per sample and score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layered.codec import WHOLE_IMAGE_MEMBER
from ledger.commit import THUMBNAIL_WHOLE_MEMBER, ChunkRevision

READ_COLUMNS: Final = (
    "sample_id",
    "style",
    "layer_count",
    "whole_caption",
    *(f"members.list.element.{name}" for name in ("name", "offset", "size")),
    *(f"scores.list.element.{name}" for name in ("layer_index", "name", "score")),
    "features",
    "failure.stage",
)
"""What is read of the commit records."""

HASH_FEATURE: Final = "phash"
_ROW_BITS: Final = 24

WorstScores = Mapping[str, float]
ScoreDeriver = Callable[[WorstScores], WorstScores]
"""Takes the lowest value of each score of a sample by name; returns further scores that follow from them."""

RescoredTables = Callable[[ChunkRevision], list[pa.Table]]
"""Gives the scores computed again of a commit, oldest first: rows of `ledger.rescoring.RESCORED_SCHEMA`."""


@dataclass
class Columns:
    """One entry per finished sample, by row.

    Attributes:
        rows: sample id → row.
        captions: of the whole images, in lower case, to be searched.
        place: sorts rows into the plan's order.
        style: position in `styles`.
        worst: by score name the lowest value over the layers and the whole image; NaN where there is none, -inf where
            it was no number.
        of_layers: the scores that layers have.
        passed: no score lies below its threshold.
        commit: position in `commits` and in `tars`, the files that their data lie in.
        thumb: offset and size of the whole image's thumbnail in its chunk ``[n, 2]``; size 0 where there is none.
        whole: the same of the whole image's PNG.
        hashes: perceptual hashes ``[n, 32]``, where `hashed`.
        failed: samples that could not be made.
    """

    thresholds: Mapping[str, float]
    derive: ScoreDeriver | None = None
    ids: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    styles: list[str] = field(default_factory=list)
    captions: pa.ChunkedArray = field(default_factory=lambda: pa.chunked_array([], pa.large_string()))
    worst: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    of_layers: set[str] = field(default_factory=set)
    commits: list[ChunkRevision] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)
    place: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    style: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    layers: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    passed: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    commit: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    thumb: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    whole: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    hashes: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 32), np.uint8))
    hashed: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    failed: set[str] = field(default_factory=set)
    _places: dict[str, int] = field(default_factory=dict, repr=False)
    """The places of samples that have failed so far."""
    _counted: dict[int, int] = field(default_factory=dict, repr=False)
    """Records seen of each chunk."""
    _score_names: list[str] = field(default_factory=list, repr=False)
    _first_new_commit: int = 0
    _ranges: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)
    _distance: NDArray[np.float32] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def read(
        self, tables: Iterable[pa.Table], rescored: Collection[ChunkRevision], tables_of: RescoredTables
    ) -> list[Part]:
        """The columns of commit records (`READ_COLUMNS`, `chunk`, `revision`, `tar`), to be given to `merge`.

        What the page shows meanwhile does not change: another thread may do this.

        Args:
            rescored: the commits that have scores computed again, which `tables_of` gives.
        """
        self._first_new_commit = len(self.commits)
        return [
            self._part(rows, tables_of(commit) if commit else [])
            for table in tables
            if len(table)
            for commit, rows in _runs_of_commits(table, rescored)
        ]

    def merge(self, parts: list[Part]) -> int:
        """Takes in what was read, and returns how many samples are new or remade.

        A sample that is there already is replaced by a record of the same or a later revision.
        """
        if not parts:
            return 0
        known = len(self)
        self._append(parts)
        superseded = self._keep_last(known)
        self._ranges, self._distance = {}, None
        return len(self) - known + superseded

    def score_range(self, name: str) -> tuple[float, float]:
        """The least and the greatest finite value of a score over the run; 0 and 1 where there is none."""
        if name not in self._ranges:
            values = self.worst[name]
            finite = values[np.isfinite(values)]
            self._ranges[name] = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        return self._ranges[name]

    def threshold_distance(self) -> NDArray[np.float32]:
        """How near the sample's nearest score lies to its threshold, in spreads of that score (its interquartile
        range); inf without a score that has a threshold."""
        if self._distance is None:
            self._distance = self._threshold_distance()
        return self._distance

    def _threshold_distance(self) -> NDArray[np.float32]:
        nearest = np.full(len(self), np.inf, np.float32)
        for name, threshold in self.thresholds.items():
            values = self.worst.get(name)
            if values is None:
                continue
            finite = values[np.isfinite(values)]
            if not len(finite):
                continue
            low, high = np.percentile(finite, [25, 75])
            spread = float(high - low) or float(finite.std()) or 1.0
            with np.errstate(invalid="ignore"):
                distance = np.abs(values - np.float32(threshold)) / np.float32(spread)
            nearest = np.fmin(nearest, distance)
        return nearest

    def _part(self, table: pa.Table, passes: list[pa.Table]) -> Part:
        """Columns of some records; `passes` are given only when all of them are of one commit."""
        count = len(table)
        ids = table.column("sample_id").to_pylist()
        places = zip(*(table.column(name).to_pylist() for name in ("chunk", "revision", "tar")), strict=True)
        commits = [self._commit_number(ChunkRevision(chunk, revision), tar) for chunk, revision, tar in places]
        worst, passed = self._scores(table, ids, passes)
        hashes, hashed = _hashes(table, ids, passes)
        return Part(
            ids=ids,
            failed=pc.is_valid(table.column("failure")).to_numpy(),
            chunk=table.column("chunk").to_numpy().astype(np.int64),
            style=np.array([self._style_number(style or "") for style in table.column("style").to_pylist()], np.int32),
            layers=pc.fill_null(table.column("layer_count"), 0).to_numpy().astype(np.int32),
            captions=_lowered(table.column("whole_caption")),
            commit=np.array(commits, np.int32),
            thumb=_member_range(table, THUMBNAIL_WHOLE_MEMBER),
            whole=_member_range(table, WHOLE_IMAGE_MEMBER),
            worst=worst,
            passed=passed if count else np.empty(0, bool),
            hashes=hashes,
            hashed=hashed,
        )

    def _scores(
        self, table: pa.Table, ids: list[str], passes: list[pa.Table]
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
        sample, layer, name, value = self._long_scores(table)
        position = {sample_id: row for row, sample_id in enumerate(ids)}
        for rescored in passes:
            of, their_layer, their_name, their_value = self._long_scores(rescored)
            rows = np.array([position.get(sample_id, -1) for sample_id in rescored.column("sample_id").to_pylist()])
            known = rows[of] >= 0
            sample = np.concatenate([sample, rows[of][known]])
            layer = np.concatenate([layer, their_layer[known]])
            name = np.concatenate([name, their_name[known]])
            value = np.concatenate([value, their_value[known]])
        if passes:
            key = (sample << 40) | ((layer.astype(np.int64) + 1) << 20) | name
            _, last = np.unique(key[::-1], return_index=True)  # the newest pass stands last
            keep = len(key) - 1 - last
            sample, layer, name, value = sample[keep], layer[keep], name[keep], value[keep]
        value = np.where(np.isnan(value), -np.inf, value)
        passed = np.ones(len(ids), bool)
        worst: dict[str, NDArray[np.float64]] = {}
        for number in np.unique(name).tolist():
            each, of_name = self._score_names[number], name == number
            lowest = np.full(len(ids), np.inf)
            np.minimum.at(lowest, sample[of_name], value[of_name])
            there = np.zeros(len(ids), bool)
            there[sample[of_name]] = True
            worst[each] = np.where(there, lowest, np.nan)
            if (layer[of_name] >= 0).any():
                self.of_layers.add(each)
        if self.derive is not None:
            self._derive(self.derive, worst, len(ids))
        for each, threshold in self.thresholds.items():
            if each in worst:
                passed &= np.isnan(worst[each]) | (worst[each] >= threshold)
        return {each: values.astype(np.float32) for each, values in worst.items()}, passed

    def _long_scores(
        self, table: pa.Table
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
        """Row, layer index, name (a position in `_score_names`) and value of every score."""
        entries, parents = _flattened(table, "scores")
        names = pc.struct_field(entries, "name").dictionary_encode()
        known = names.dictionary.to_pylist()
        self._score_names += [name for name in known if name not in self._score_names]
        numbers = np.array([self._score_names.index(name) for name in known], np.int64)
        layer = pc.struct_field(entries, "layer_index").to_numpy(zero_copy_only=False).astype(np.int32)
        value = pc.struct_field(entries, "score").to_numpy(zero_copy_only=False).astype(np.float64)
        codes = names.indices.to_numpy(zero_copy_only=False)
        return parents, layer, numbers[codes] if len(known) else np.empty(0, np.int64), value

    def _derive(self, derive: ScoreDeriver, worst: dict[str, NDArray[np.float64]], count: int) -> None:
        stored = list(worst.items())
        for row in range(count):
            of_sample = {name: float(values[row]) for name, values in stored if not np.isnan(values[row])}
            for name, value in derive(of_sample).items() if of_sample else ():
                worst.setdefault(name, np.full(count, np.nan))[row] = -np.inf if np.isnan(value) else value

    def _append(self, parts: list[Part]) -> None:
        """Adds all finished samples of the parts at the end, whether they are there already or not."""
        first = len(self.ids)
        kept = [np.flatnonzero(~part.failed) for part in parts]
        place = [self._places_of(part) for part in parts]
        for part, rows in zip(parts, kept, strict=True):
            self.ids += [part.ids[row] for row in rows]
        texts = [part.captions.take(pa.array(rows)) for part, rows in zip(parts, kept, strict=True)]
        self.captions = pa.chunked_array([*self.captions.chunks, *texts], pa.large_string())
        for name in ("style", "layers", "commit", "thumb", "whole", "passed", "hashes", "hashed"):
            pieces = [getattr(part, name)[rows] for part, rows in zip(parts, kept, strict=True)]
            setattr(self, name, np.concatenate([getattr(self, name), *pieces]))
        self.place = np.concatenate([self.place, *(each[rows] for each, rows in zip(place, kept, strict=True))])
        for name in sorted({name for part in parts for name in part.worst}):
            before = self.worst.get(name)
            pieces = [np.full(first, np.nan, np.float32) if before is None else before]
            for part, rows in zip(parts, kept, strict=True):
                found = part.worst.get(name)
                pieces.append(np.full(len(rows), np.nan, np.float32) if found is None else found[rows])
            self.worst[name] = np.concatenate(pieces)
        for name, values in self.worst.items():
            if len(values) < len(self.ids):
                gap = np.full(len(self.ids) - len(values), np.nan, np.float32)
                self.worst[name] = np.concatenate([values, gap])

    def _places_of(self, part: Part) -> NDArray[np.int64]:
        """Where each sample stands in the plan's order: its chunk, and its place in the chunk's first record."""
        places = np.empty(len(part.ids), np.int64)
        for row, (sample_id, chunk) in enumerate(zip(part.ids, part.chunk.tolist(), strict=True)):
            number = self._counted.get(chunk, 0)
            self._counted[chunk] = number + 1
            places[row] = self._places.get(sample_id, (chunk << _ROW_BITS) + number)
            if part.failed[row]:
                self.failed.add(sample_id)
                self._places[sample_id] = int(places[row])
        return places

    def _keep_last(self, known: int) -> int:
        """Takes away all but the winning record of each sample; rows below `known` stay where they are."""
        replaced: list[tuple[int, int]] = []
        keep = np.ones(len(self.ids), bool)
        final: dict[str, int] = {}
        for row in range(known, len(self.ids)):
            sample_id = self.ids[row]
            self.failed.discard(sample_id)
            self._places.pop(sample_id, None)
            before = self.rows.get(sample_id, final.get(sample_id))
            if before is None:
                final[sample_id] = row
                continue
            keep[row] = False
            if self._revision(row) >= self._revision(before):
                replaced.append((before, row))
                self.commit[before] = self.commit[row]  # a third record compares with this one
        for before, row in replaced:
            for name in ("style", "layers", "commit", "thumb", "whole", "passed", "hashes", "hashed"):
                getattr(self, name)[before] = getattr(self, name)[row]
            for values in self.worst.values():
                values[before] = values[row]
        if not keep.all():
            rows = np.flatnonzero(keep)
            self.ids = [self.ids[row] for row in rows.tolist()]
            self.captions = self.captions.take(pa.array(rows))
            for name in ("style", "layers", "commit", "thumb", "whole", "passed", "hashes", "hashed", "place"):
                setattr(self, name, getattr(self, name)[rows])
            self.worst = {name: values[rows] for name, values in self.worst.items()}
        for row in range(known, len(self.ids)):
            self.rows[self.ids[row]] = row
        return len({before for before, _ in replaced if before < known})

    def _revision(self, row: int) -> int:
        return self.commits[int(self.commit[row])].revision

    def _commit_number(self, commit: ChunkRevision, tar: str) -> int:
        # The commits of a table stand side by side.
        if len(self.commits) == self._first_new_commit or self.commits[-1] != commit:
            self.commits.append(commit)
            self.tars.append(tar)
        return len(self.commits) - 1

    def _style_number(self, style: str) -> int:
        if style not in self.styles:
            self.styles.append(style)
        return self.styles.index(style)


@dataclass(frozen=True)
class Part:
    """The columns of some commit records, failed samples included."""

    ids: list[str]
    failed: NDArray[np.bool_]
    chunk: NDArray[np.int64]
    style: NDArray[np.int32]
    layers: NDArray[np.int32]
    captions: Any
    commit: NDArray[np.int32]
    thumb: NDArray[np.int64]
    whole: NDArray[np.int64]
    worst: dict[str, NDArray[np.float32]]
    passed: NDArray[np.bool_]
    hashes: NDArray[np.uint8]
    hashed: NDArray[np.bool_]


def _runs_of_commits(
    table: pa.Table, rescored: Collection[ChunkRevision]
) -> Iterator[tuple[ChunkRevision | None, pa.Table]]:
    """The table whole where no commit of it was scored again, and commit by commit otherwise."""
    chunks, revisions = (table.column(name).to_numpy() for name in ("chunk", "revision"))
    bounds = [0, *(np.flatnonzero((np.diff(chunks) != 0) | (np.diff(revisions) != 0)) + 1).tolist(), len(table)]
    commits = [ChunkRevision(int(chunks[begin]), int(revisions[begin])) for begin in bounds[:-1]]
    if not any(commit in rescored for commit in commits):
        yield None, table
        return
    for commit, begin, end in zip(commits, bounds, bounds[1:], strict=False):
        yield commit, table.slice(begin, end - begin)


def _lowered(texts: pa.ChunkedArray) -> Any:
    return pc.utf8_lower(pc.fill_null(texts, "").cast(pa.large_string())).combine_chunks()


def _flattened(table: pa.Table, column: str) -> tuple[Any, NDArray[np.int64]]:
    """The entries of a column of lists, and for each the row that it stands in."""
    lists = table.column(column).combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    return pc.list_flatten(lists), parents


def _member_range(table: pa.Table, name: str) -> NDArray[np.int64]:
    entries, parents = _flattened(table, "members")
    found = pc.equal(pc.struct_field(entries, "name"), name).to_numpy(zero_copy_only=False).astype(bool)
    ranges = np.zeros((len(table), 2), np.int64)
    for column, part in enumerate(("offset", "size")):
        ranges[parents[found], column] = pc.struct_field(entries, part).to_numpy(zero_copy_only=False)[found]
    return ranges


def _hashes(table: pa.Table, ids: list[str], passes: list[pa.Table]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    hashes, hashed = np.zeros((len(ids), 32), np.uint8), np.zeros(len(ids), bool)
    position = {sample_id: row for row, sample_id in enumerate(ids)}
    for source, owners in ((table, ids), *((each, each.column("sample_id").to_pylist()) for each in passes)):
        features = source.column("features").combine_chunks()
        offsets = features.offsets.to_numpy(zero_copy_only=False)
        keys = features.keys
        for entry in np.flatnonzero(pc.equal(keys, HASH_FEATURE).to_numpy(zero_copy_only=False).astype(bool)).tolist():
            owner = int(np.searchsorted(offsets, entry, side="right")) - 1
            content = features.items[entry].as_py()
            if 0 <= owner < len(owners) and owners[owner] in position and len(content) == 32:
                row = position[owners[owner]]
                hashes[row], hashed[row] = np.frombuffer(content, np.uint8), True
    return hashes, hashed
