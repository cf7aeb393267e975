"""`layerprism licences`: the sidecars of anything that holds samples, read without their pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from evaluation.samples import open_samples
from exports.licences import LicenceSummary, summarise_licences
from layered.codec import SIDECAR_MEMBER
from layered.sidecar import Sidecar
from ledger.index import RunIndex
from ledger.run_directory import SHARDS_FOLDER, RunDirectory, is_run
from shards.files import join_place
from shards.reader import holds_publication


def licences_of(place: Path | str) -> LicenceSummary:
    """The licences of a publication, a layered folder, or a run: of what it publishes, else of all it has finished.

    Raises:
        UserError: when the path holds no samples, or damaged ones.
    """
    return summarise_licences(_sidecars(place))


def write_licences(path: Path, summary: LicenceSummary) -> None:
    """The summary as JSON."""
    path.write_text(json.dumps(summary.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sidecars(place: Path | str) -> Iterator[Sidecar]:
    if is_run(place) and not holds_publication(join_place(place, SHARDS_FOLDER)):
        index = RunIndex.load(RunDirectory.open(place).storage)
        for record in index.records():
            if record.failure is None:
                members = index.sample_members(record.sample_id, [SIDECAR_MEMBER])
                yield Sidecar.from_json(members[SIDECAR_MEMBER])
        return
    samples = open_samples(place)
    yield from map(samples.sidecar, samples.sample_ids)
