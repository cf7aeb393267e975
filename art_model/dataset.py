"""Which samples of a publication are learnt from, and how each of them is read.

Everything but pixels is known from the manifest, so that a set of any size opens at once; pixels come by byte range, or
shard after shard as a stream. The order of training is `position_order`'s: a pure function, so that a place in it is
one integer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from layered.arrays import Size
from layered.box import Box
from layered.codec import decode_members
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.pixels import resize, resize_rgb
from layered.seeds import derive_seed
from layered.sidecar import Sidecar
from shards.files import READ_AHEAD, Files, join_place
from shards.manifest import Placement
from shards.reader import Publication, holds_publication
from shards.tar import iterate_samples

Verdict = Literal["pro", "keep", "undecided"]

_PUBLICATION_OF_A_RUN: Final = "shards"


class DataConfig(BaseModel):
    """Which samples are learnt from.

    Attributes:
        publication: folder of a publication, or of a run that has one, or the URL of either, such as
            ``s3://bucket/run``. In a configuration file a path is relative to that file.
        fingerprint: of the publication, at least 12 digits; another one is refused. Null takes what is there.
        split: the only one that is read.
        scores: lowest acceptable value by score name. It holds for the sample and for each layer; a sample that never
            got the score is left out. What a person decided to keep stays, whatever its scores.
        decisions: verdicts, of which ``undecided`` stands for none; empty takes all.
        styles: style categories; empty takes all.
        licences: the only ones allowed among a sample's layers; empty allows all. A layer without a recorded licence,
            such as drawn text, has the licence ``""``, which can be allowed too.
        min_layers, max_layers: foreground layers of a sample.
        largest_side: of a canvas in pixels. Larger designs are scaled down to it, each layer for itself; null scales
            nothing.
        samples: at most so many, drawn evenly from all that pass; null takes all.
        seed: of that draw.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    publication: str
    fingerprint: str | None = Field(None, pattern=r"^[0-9a-f]{12,64}$")
    split: str = "train"
    scores: dict[str, float] = {}
    decisions: tuple[Verdict, ...] = ()
    styles: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    min_layers: int = Field(1, ge=0)
    max_layers: int = Field(50, ge=1, le=100)
    largest_side: int | None = Field(None, ge=16)
    samples: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _layers_are_possible(self) -> DataConfig:
        if self.min_layers > self.max_layers:
            raise ValueError(f"min_layers {self.min_layers} is above max_layers {self.max_layers}")
        return self


@dataclass(frozen=True)
class Record:
    """What is known of a sample without its pixels.

    Attributes:
        content: hash of all its files; another one, another sample.
        canvas, boxes: as they are read, which is scaled down where that was asked for.
    """

    sample_id: str
    content: str
    canvas: Size
    boxes: tuple[Box, ...]
    caption: str


@dataclass(frozen=True, eq=False)
class LayeredDataset:
    """The samples of a publication that pass, in the manifest's order.

    Attributes:
        records: of the samples that passed.
        drops: how many samples did not pass by reason, each counted once.
        licences: of all layers of the samples that passed, sorted.
    """

    config: DataConfig
    publication: Publication
    records: tuple[Record, ...]
    drops: Mapping[str, int]
    licences: tuple[str, ...]

    @classmethod
    def open(cls, config: DataConfig) -> LayeredDataset:
        """Filters a publication.

        Raises:
            UserError: when the publication is missing, is not the pinned one or lacks a shard; when the configuration
                names a split, score or style that it does not have; when no sample passes.
        """
        publication = Publication.open(_publication_place(config.publication))
        _check_fingerprint(publication, config.fingerprint)
        found: list[_Found] = []
        drops: Counter[str] = Counter()
        names: dict[str, set[str]] = {"split": set(), "scores": set(), "styles": set()}
        for row in _rows(publication):
            names["split"].add(row["split"])
            names["scores"].update(score["name"] for score in row["scores"])
            names["styles"].add(row["style"])
            reason = _reason_against(row, config)
            if reason is None:
                found.append(_found(row, config.largest_side))
            else:
                drops[reason] += 1
        _check_names(publication.place, config, names)
        if config.samples is not None and len(found) > config.samples:
            drops[f"beyond samples {config.samples}"] = len(found) - config.samples
            found = _drawn(found, config.samples, config.seed)
        if not found:
            reasons = "; ".join(f"{number} {reason}" for reason, number in drops.items())
            raise UserError(f"{publication.place}: no sample passes the data configuration ({reasons}): allow more")
        _check_shards(publication.files, found)
        licences = sorted({licence for each in found for licence in each.licences})
        return cls(config, publication, tuple(each.record for each in found), dict(drops), tuple(licences))

    def __len__(self) -> int:
        return len(self.records)

    def report(self) -> str:
        """How many samples are learnt from, and why others are not, in one line."""
        total = len(self.records) + sum(self.drops.values())
        reasons = "".join(f"; {number} left out: {reason}" for reason, number in self.drops.items())
        return f"{len(self.records)} of {total} samples of {self.publication.place}{reasons}"

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        """One sample by byte range, scaled down where that was asked for.

        Raises:
            KeyError: for a sample that did not pass.
            UserError: when the sample is damaged; shard and file are named.
        """
        record, placement = self._by_id[sample_id], self.publication.placement(sample_id)
        try:
            members = self.publication.members(sample_id)
        except (OSError, ValueError) as error:
            raise _damaged(self.publication.files.describe(placement.shard), sample_id, str(error)) from error
        return self._decoded(record, placement, members)

    def stream(self) -> Iterator[tuple[Record, LayeredImage, Sidecar]]:
        """All samples, shard after shard, without one seek: what object stores and disks like best.

        Raises:
            UserError: when a sample is damaged or its shard ends before it comes.
        """
        expected = iter(self.records)
        try:
            for sample_id, members in self._streamed_members():
                record = next(expected)
                if sample_id != record.sample_id:
                    raise self._misplaced(record)
                yield record, *self._decoded(record, self.publication.placement(sample_id), members)
        except UserError:
            raise
        except (OSError, ValueError) as error:
            raise UserError(f"{self.publication.place}: a shard cannot be read ({error}): copy it again") from error
        if (missing := next(expected, None)) is not None:
            raise self._misplaced(missing)

    def _streamed_members(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        for shard in dict.fromkeys(self.publication.placement(record.sample_id).shard for record in self.records):
            with self.publication.files.open(shard, READ_AHEAD) as stream:
                for sample_id, members in iterate_samples(stream):
                    if sample_id in self._by_id:
                        yield sample_id, members

    def _misplaced(self, record: Record) -> UserError:
        shard = self.publication.files.describe(self.publication.placement(record.sample_id).shard)
        return _damaged(shard, record.sample_id, "it is not where the manifest says")

    def _decoded(
        self, record: Record, placement: Placement, members: Mapping[str, bytes]
    ) -> tuple[LayeredImage, Sidecar]:
        shard = self.publication.files.describe(placement.shard)
        for member in placement.members:
            if hashlib.sha256(members.get(member.name, b"")).hexdigest() != member.sha256:
                raise _damaged(shard, record.sample_id, f"{member.name} does not have the published sha256")
        try:
            image, sidecar = decode_members(members)
        except ValueError as error:
            raise _damaged(shard, record.sample_id, str(error)) from error
        return (image, sidecar) if record.canvas == image.canvas else _scaled(image, sidecar, record)

    @cached_property
    def _by_id(self) -> dict[str, Record]:
        return {record.sample_id: record for record in self.records}


def position_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits ``count`` things: a permutation ``[count]``, a function of nothing else."""
    return np.random.default_rng(derive_seed(seed, "", -1, epoch, "order")).permutation(count)


def _publication_place(place: str) -> str:
    inside = join_place(place, _PUBLICATION_OF_A_RUN)
    return inside if not holds_publication(place) and holds_publication(inside) else place


def _check_fingerprint(publication: Publication, wanted: str | None) -> None:
    if wanted is not None and not publication.fingerprint.startswith(wanted):
        raise UserError(
            f"{publication.place} has changed: its fingerprint is {publication.fingerprint[:12]}, but {wanted[:12]} is "
            f"pinned; use the former set (shards@{wanted[:12]}), or pin this one and start anew"
        )


def _rows(publication: Publication) -> Iterator[dict[str, Any]]:
    """The manifest's rows, few of them in memory at a time."""
    for batch in publication.manifest.to_batches(1024):
        yield from batch.to_pylist()


def _check_names(place: str, config: DataConfig, existing: Mapping[str, set[str]]) -> None:
    """A name that nothing has is a mistake, not a filter."""
    wanted = {"split": {config.split}, "scores": set(config.scores), "styles": set(config.styles)}
    for key, own in wanted.items():
        if unknown := sorted(own - existing[key]):
            known = ", ".join(sorted(existing[key])) or "none at all"
            raise UserError(f"data.{key}: {place} has no {unknown[0]!r}; it has {known}")


def _reason_against(row: Mapping[str, Any], config: DataConfig) -> str | None:
    """The first reason to leave a row of the manifest out, or None."""
    if row["split"] != config.split:
        return f"split {row['split']}"
    decision = row["decision"] or "undecided"
    if config.decisions and decision not in config.decisions:
        return f"decision {decision}"
    if config.styles and row["style"] not in config.styles:
        return "style"
    if config.licences and not set(row["licences"]) <= set(config.licences):
        return "licence"
    if row["layer_count"] < config.min_layers:
        return f"fewer than {config.min_layers} layers"
    if row["layer_count"] > config.max_layers:
        return f"more than {config.max_layers} layers"
    if decision == "undecided":
        for name, minimum in config.scores.items():
            values = [score["score"] for score in row["scores"] if score["name"] == name]
            if not values:
                return f"no score {name}"
            if not all(value >= minimum for value in values):  # a score that is not a number passes nothing
                return f"{name} below {minimum:g}"
    return None


@dataclass(frozen=True)
class _Found:
    """A sample that passes: its record, and where the last of its files ends."""

    record: Record
    licences: tuple[str, ...]
    shard: str
    end: int


def _found(row: Mapping[str, Any], largest_side: int | None) -> _Found:
    hashes = "".join(f"{member['name']} {member['sha256']}\n" for member in row["members"])
    canvas: Size = (row["canvas"][0], row["canvas"][1])
    target = _scaled_canvas(canvas, largest_side)
    record = Record(
        row["sample_id"],
        hashlib.sha256(hashes.encode()).hexdigest(),
        target,
        tuple(_scaled_box(Box.of(box), canvas, target) for box in row["layer_boxes"]),
        row["whole_caption"],
    )
    end = max(member["offset"] + member["size"] for member in row["members"])
    return _Found(record, tuple(row["licences"]), row["shard"], end)


def _drawn(found: list[_Found], count: int, seed: int) -> list[_Found]:
    """A part of the samples in their order; which ones depends on each sample's id alone."""
    ids = [each.record.sample_id for each in found]
    lots = {sample_id: derive_seed(seed, sample_id, -1, 0, "subset") for sample_id in ids}
    chosen = set(sorted(ids, key=lambda sample_id: (lots[sample_id], sample_id))[:count])
    return [each for each in found if each.record.sample_id in chosen]


def _check_shards(files: Files, found: list[_Found]) -> None:
    ends: dict[str, int] = {}
    for each in found:
        ends[each.shard] = max(each.end, ends.get(each.shard, 0))
    present = files.entries("")
    for shard, end in ends.items():
        if shard not in present:
            raise UserError(f"{files.describe(shard)} is missing: copy the whole publication, or publish again")
        size = present[shard].size
        if size < end:
            raise UserError(f"{files.describe(shard)} is cut off at {size} of {end} bytes: copy it again")


def _scaled_canvas(canvas: Size, largest_side: int | None) -> Size:
    if largest_side is None or max(canvas) <= largest_side:
        return canvas
    factor = largest_side / max(canvas)
    return max(1, round(canvas[0] * factor)), max(1, round(canvas[1] * factor))


def _scaled_box(box: Box, canvas: Size, target: Size) -> Box:
    return box if canvas == target else box.scaled(target[0] / canvas[0], target[1] / canvas[1])


def _scaled(image: LayeredImage, sidecar: Sidecar, record: Record) -> tuple[LayeredImage, Sidecar]:
    layers = tuple(
        Layer(resize(layer.pixels, box.size), box) for layer, box in zip(image.layers, record.boxes, strict=True)
    )
    described = tuple(
        layer.model_copy(update={"box": box.as_tuple()})
        for layer, box in zip(sidecar.layers, record.boxes, strict=True)
    )
    scaled = LayeredImage(resize_rgb(image.base, record.canvas), layers)
    return scaled, sidecar.model_copy(update={"canvas": record.canvas, "layers": described})


def _damaged(shard: str, sample_id: str, what: str) -> UserError:
    return UserError(f"{shard}: sample {sample_id} is damaged ({what}): copy the shard again, or publish again")
