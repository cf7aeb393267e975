"""Publications: shards made from chunks, written beside the current set and swapped in when complete.

``shards/`` is the current publication, ``shards@<fingerprint>/`` a former one, ``shards.tmp-…/`` one being written and
``shards.trash-…/`` one being removed. Each step is one rename, so a publication is always under one of the first three
names, and the next call finishes or repeats what was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from layered.codec import (
    MERGED_IMAGE_MEMBER,
    SIDECAR_MEMBER,
    WHOLE_IMAGE_MEMBER,
    decode_members,
    layer_member,
)
from layered.errors import UserError
from layered.png import encode_png
from layered.scores import WHOLE_IMAGE
from layered.sidecar import Sidecar
from ledger.choice import SelectionConfig, choose
from ledger.decisions import read_decisions, resolve
from ledger.errors import DamagedChunkError
from ledger.index import RunIndex
from ledger.licences import LicenceRule
from ledger.run_directory import SHARDS_FOLDER, RunDirectory
from ledger.selection import DuplicateFinder, ScoreDeriver, Selected, Selection, select, standing_scores
from shards.manifest import MANIFEST_FILE
from shards.reader import Publication
from shards.writer import ShardConfig, ShardSample, write_publication

NO_CHOICE = SelectionConfig()
_INPUTS_KEY = "layerprism.inputs"
_FORMAT = 1
"""Raised when the same inputs come to be written as other bytes: sets written before are then written again."""


class NothingToPublishError(RuntimeError):
    """No sample passes. `selection` tells why for each of them."""

    def __init__(self, message: str, selection: Selection) -> None:
        super().__init__(message)
        self.selection = selection


@dataclass(frozen=True)
class Published:
    """The current publication, what was chosen for it, and whether this call had to write it."""

    publication: Publication
    selection: Selection
    written: bool


def publish(
    run: RunDirectory,
    config: ShardConfig,
    thresholds: Mapping[str, float],
    find_duplicates: DuplicateFinder | None = None,
    facts: Mapping[str, str] | None = None,
    prune: bool = False,
    derive_scores: ScoreDeriver | None = None,
    choice: SelectionConfig = NO_CHOICE,
) -> Published:
    """Makes ``shards/`` follow from the committed samples, their scores and people's decisions.

    Only for the driver of the run (`RunDirectory.driving`). Equal inputs give equal bytes; when the current publication
    was made from the same inputs, nothing is written.

    Args:
        thresholds: lowest acceptable score by name.
        facts: what the dataset card says of the set's origin.
        prune: also removes all former publications.
        derive_scores: as in `ledger.selection.select`.
        choice: which of the samples that may be published are.

    Raises:
        NothingToPublishError: when no sample would be published; the current publication stays.
        UserError: when decisions or records cannot be read.
        DamagedChunkError: when a chunk's bytes are not those that were committed; the sample is named.
    """
    repair(run.path)
    index = RunIndex.load(run.storage)
    decisions = resolve(read_decisions(run.storage))
    licences = LicenceRule(config.licences, config.whole_samples) if config.licences else None
    selection = select(run.planned_samples(), index, decisions, thresholds, find_duplicates, derive_scores, licences)
    selection = choose(selection, index, choice)
    if not selection.published:
        reasons = ", ".join(f"{number} {reason}" for reason, number in selection.reasons().items())
        raise NothingToPublishError(
            f"nothing to publish in {run.path}: {reasons or 'no sample is committed yet'}. "
            "Finish or retry the run, lower filters.<name>.threshold, keep samples in review, or ask less of selection",
            selection,
        )
    inputs = _inputs_digest(config, facts or {}, selection)
    current = run.path / SHARDS_FOLDER
    written = _inputs_of(current) != inputs
    if written:
        beside = run.path / f"{SHARDS_FOLDER}.tmp-{inputs[:12]}"
        for stale in _folders(run.path, "tmp"):
            if stale != beside or _inputs_of(stale) != inputs:
                _discard(stale)
        if not beside.exists():
            samples = (_shard_sample(index, selected) for selected in selection.published)
            write_publication(samples, beside, config, facts, {_INPUTS_KEY: inputs})
        written = _swap_in(beside, current)
    if prune:
        for former in former_publications(run.path):
            _discard(former)
    return Published(Publication.open(current), selection, written)


def repair(run: Path) -> None:
    """Finishes what an interrupted `publish` began; harmless at any other time, but only for the driver of the run."""
    for trash in _folders(run, "trash"):
        shutil.rmtree(trash)
    current = run / SHARDS_FOLDER
    complete = [folder for folder in _folders(run, "tmp") if (folder / MANIFEST_FILE).exists()]
    if complete and not current.exists():
        complete[0].rename(current)


def former_publications(run: Path) -> list[Path]:
    """Folders of the publications that were current once, by name."""
    return sorted(run.glob(f"{SHARDS_FOLDER}@*"))


def _swap_in(beside: Path, current: Path) -> bool:
    """Makes a complete publication the current one; False when it equals the current one and was discarded."""
    if current.exists():
        try:
            former = Publication.open(current).fingerprint
        except UserError:  # damaged: nobody can use it, and it must not stand in the way
            _discard(current)
        else:
            if former == Publication.open(beside).fingerprint:
                _discard(beside)
                return False
            archive = current.with_name(f"{SHARDS_FOLDER}@{former[:12]}")
            if archive.exists():  # published, replaced and published again before
                _discard(archive)
            current.rename(archive)
    beside.rename(current)
    return True


def _shard_sample(index: RunIndex, selected: Selected) -> ShardSample:
    """A sample as it is published: its bytes as committed, its sidecar with scores, decision and captions."""
    members = index.sample_members(selected.sample_id)
    record = index.record(selected.sample_id)
    for member in record.members:
        if member.name in members and hashlib.sha256(members[member.name]).hexdigest() != member.sha256:
            raise DamagedChunkError(
                f"{record.commit.tar}: sample {selected.sample_id}: {member.name} does not have the recorded sha256: "
                f"remove {record.commit.tar} and {record.commit.record} to have the chunk made again"
            )
    scores = standing_scores(record.scores, selected.dropped_layers)
    sidecar = Sidecar.from_json(members[SIDECAR_MEMBER])
    if selected.dropped_layers:
        members, sidecar = _drop_layers(members, sidecar, selected)
    layers = [
        layer.model_copy(update={"caption": selected.layer_captions.get(layer.index, layer.caption)})
        for layer in sidecar.layers
    ]
    sidecar = sidecar.model_copy(
        update={
            "layers": tuple(layers),
            "whole_caption": selected.whole_caption or sidecar.whole_caption,
            "scores": {score.name: score.score for score in scores if score.layer_index == WHOLE_IMAGE},
            "decision": selected.decision,
        }
    )
    images = {name: content for name, content in members.items() if name != SIDECAR_MEMBER}
    return ShardSample(selected.split, sidecar, images, scores)


def _drop_layers(members: dict[str, bytes], sidecar: Sidecar, selected: Selected) -> tuple[dict[str, bytes], Sidecar]:
    """Files and sidecar without some layers: the rest renumbered, each record keeping its original `index`."""
    kept = [position for position, layer in enumerate(sidecar.layers) if layer.index not in selected.dropped_layers]
    image, _ = decode_members(members)
    dropped = set(range(len(sidecar.layers))) - set(kept)
    remaining = {
        name: content
        for name, content in members.items()
        if name != MERGED_IMAGE_MEMBER and not name.startswith("layer_")
    }
    remaining[WHOLE_IMAGE_MEMBER] = encode_png(image.without(dropped).whole())
    for position, former in enumerate(kept):
        remaining[layer_member(position)] = members[layer_member(former)]
    layers = tuple(sidecar.layers[position] for position in kept)
    return remaining, sidecar.model_copy(update={"layers": layers, "layer_count": len(layers)})


def _inputs_digest(config: ShardConfig, facts: Mapping[str, str], selection: Selection) -> str:
    """A hash of everything that the bytes of a publication follow from."""
    digest = hashlib.sha256()
    head = {"format": _FORMAT, "config": config.model_dump(mode="json"), "facts": dict(facts)}
    for part in (head, *(asdict(selected) for selected in selection.published)):
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _inputs_of(folder: Path) -> str | None:
    """The inputs digest of a complete publication; None for any other folder, or none."""
    try:
        metadata = Publication.open(folder).manifest.schema.metadata or {}
    except UserError:
        return None
    return str(metadata.get(_INPUTS_KEY.encode(), b"").decode())


def _folders(run: Path, kind: str) -> list[Path]:
    return sorted(run.glob(f"{SHARDS_FOLDER}.{kind}-*"))


def _discard(folder: Path) -> None:
    """Removes a folder; interrupted half-way, it is trash and nothing else."""
    trash = folder.with_name(f"{SHARDS_FOLDER}.trash-{secrets.token_hex(6)}")
    folder.rename(trash)
    shutil.rmtree(trash)
