"""Scores computed again over what is stored: numbered passes that override the scores of commit records.

A pass is ``scores/00001.json`` (its settings) and one ``scores/00001-00042.r1.parquet`` per commit it has scored. The
highest number wins, for each sample, layer and name. A row holds for the revision it was computed on and no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layered.scores import Score
from ledger.commit import CHUNKS_FOLDER, FEATURES_TYPE, ChunkRevision
from ledger.storage import Storage
from shards.manifest import SCORE_TYPE, score_row
from shards.parquet import read_parquet

SCORES_FOLDER = "scores"
RESCORED_SCHEMA = pa.schema([("sample_id", pa.string()), ("scores", pa.list_(SCORE_TYPE)), ("features", FEATURES_TYPE)])


@dataclass(frozen=True)
class Rescored:
    """New scores of one sample, and new features by name."""

    sample_id: str
    scores: tuple[Score, ...]
    features: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ScorePass:
    """One pass over a run, resumable: what it has written stays, `pending` is what it has not."""

    storage: Storage
    number: int

    @classmethod
    def begin(cls, storage: Storage, settings: Mapping[str, Any]) -> ScorePass:
        """Goes on with the newest pass when it was begun with the same settings, starts the next one otherwise."""
        encoded = (json.dumps(settings, sort_keys=True, indent=2) + "\n").encode()
        numbers = [
            int(match[1])
            for name in storage.list(SCORES_FOLDER)
            if (match := re.fullmatch(rf"{SCORES_FOLDER}/(\d+)\.json", name))
        ]
        newest = max(numbers, default=0)
        if newest and storage.read(_settings_name(newest)) == encoded:
            return cls(storage, newest)
        storage.write(_settings_name(newest + 1), encoded)
        return cls(storage, newest + 1)

    def pending(self, commits: Iterable[ChunkRevision]) -> list[ChunkRevision]:
        """Those commits that this pass has not scored yet."""
        scored = set(self.storage.list(SCORES_FOLDER))
        return [commit for commit in commits if self._name(commit) not in scored]

    def write(self, commit: ChunkRevision, rescored: Sequence[Rescored]) -> None:
        """Stores the new scores of one commit's samples."""
        rows = [
            {
                "sample_id": sample.sample_id,
                "scores": [score_row(score) for score in sample.scores],
                "features": sorted(sample.features.items()),
            }
            for sample in rescored
        ]
        with self.storage.writing(self._name(commit)) as stream:
            pq.write_table(pa.Table.from_pylist(rows, RESCORED_SCHEMA), stream, compression="zstd")

    def _name(self, commit: ChunkRevision) -> str:
        return f"{SCORES_FOLDER}/{self.number:05d}-{commit.name}.parquet"


def rescored_files(storage: Storage) -> list[tuple[ChunkRevision, str]]:
    """The files of all stored passes, oldest pass first: the commit that was scored, and the file's name."""
    files = []
    for name in storage.list(SCORES_FOLDER):
        match = re.fullmatch(rf"{SCORES_FOLDER}/(\d+)-(.+\.parquet)", name)
        commit = ChunkRevision.of_file(f"{CHUNKS_FOLDER}/{match[2]}") if match else None
        if match and commit:
            files.append((int(match[1]), commit, name))
    files.sort(key=lambda found: (found[0], found[1].chunk, found[1].revision))
    return [(commit, name) for _, commit, name in files]


def read_rescored(storage: Storage, name: str) -> pa.Table:
    """One of `rescored_files`: rows of `RESCORED_SCHEMA`."""
    return read_parquet(BytesIO(storage.read(name))).cast(RESCORED_SCHEMA)


def _settings_name(number: int) -> str:
    return f"{SCORES_FOLDER}/{number:05d}.json"
