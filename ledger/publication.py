"""Publications: shards made from chunks, written beside the current set and put in its place when complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from layered.codec import (
    MERGED_IMAGE_MEMBER,
    SIDECAR_MEMBER,
    WHOLE_IMAGE_MEMBER,
    decode_members,
    layer_member,
)
from layered.png import encode_png
from layered.scores import WHOLE_IMAGE
from layered.sidecar import Sidecar
from ledger.choice import SelectionConfig, choose
from ledger.decisions import read_decisions, resolve
from ledger.errors import DamagedChunkError
from ledger.garbage import remove_unnamed_chunks
from ledger.index import RunIndex
from ledger.licences import LicenceRule
from ledger.publication_folders import PublicationFolders
from ledger.publication_objects import PublicationObjects
from ledger.publication_writing import INPUTS_KEY, inputs_of
from ledger.run_directory import RunDirectory
from ledger.selection import DuplicateFinder, ScoreDeriver, Selected, Selection, select, standing_scores
from shards.reader import Publication
from shards.writer import ShardConfig, ShardSample, write_publication

NO_CHOICE = SelectionConfig()
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
    publications = publications_of(run)
    publications.repair()
    index = RunIndex.load(run.storage)
    decisions = resolve(read_decisions(run.storage))
    licences = LicenceRule(config.licences, config.whole_samples) if config.licences else None
    selection = select(run.planned_samples(), index, decisions, thresholds, find_duplicates, derive_scores, licences)
    selection = choose(selection, index, choice)
    if not selection.published:
        reasons = ", ".join(f"{number} {reason}" for reason, number in selection.reasons().items())
        raise NothingToPublishError(
            f"nothing to publish in {run.place}: {reasons or 'no sample is committed yet'}. "
            "Finish or retry the run, lower filters.<name>.threshold, keep samples in review, or ask less of selection",
            selection,
        )
    inputs = _inputs_digest(config, facts or {}, selection)
    written = inputs_of(publications.current) != inputs
    if written:
        samples = (_shard_sample(index, selected) for selected in selection.published)

        def write(folder: Path, on_file: Callable[[Path], None]) -> Publication:
            return write_publication(samples, folder, config, facts, {INPUTS_KEY: inputs}, on_file)

        written = publications.replace(inputs, write)
    if prune:
        publications.prune()
        remove_unnamed_chunks(run.storage)
    return Published(Publication.open(publications.current), selection, written)


def publications_of(run: RunDirectory) -> PublicationFolders | PublicationObjects:
    """The publications of a run, wherever it lies. Only for its driver."""
    return PublicationFolders(run.path) if run.storage.is_local else PublicationObjects(run.storage)


def _shard_sample(index: RunIndex, selected: Selected) -> ShardSample:
    """A sample as it is published: its bytes as committed, its sidecar with scores, decision and captions."""
    members = index.sample_members(selected.sample_id)
    record = index.record(selected.sample_id)
    for member in record.members:
        if member.name in members and hashlib.sha256(members[member.name]).hexdigest() != member.sha256:
            raise DamagedChunkError(
                f"{record.tar}: sample {selected.sample_id}: {member.name} does not have the recorded sha256: "
                f"remove {record.tar} and {record.commit.record} to have the chunk made again"
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
