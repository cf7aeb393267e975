"""Benches: briefs that models are compared on, what their prompts name, and the true designs where there are any.

The **design bench** is a file of held-out designs that a recipe drew exactly (`models/recipes/design_bench.py`), one
JSON object a line; the same recipe draws their pictures again whenever they are needed. The **FLUX bench** is a split
of a publication that nobody learnt from. Any file of briefs is a bench too, without truth.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from art_model.dataset import DataConfig, LayeredDataset
from evaluation.samples import Samples, open_samples
from layered.brief import Brief, BriefLayer, describe_validation_error, read_briefs
from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar
from models.vocabulary import load_vocabulary


class BenchConfig(BaseModel):
    """The `bench` section: exactly one of `designs`, `publication` and `briefs`. Paths are relative to the file.

    Attributes:
        designs: a file of the design bench.
        publication: a publication, or a run that has one: its samples are briefs and truth at once.
        briefs: a file of briefs.
        truth: the layered folder with the true designs of `designs` or `briefs`, by brief id. Null goes without what
            needs them.
        split: of a publication.
        largest_side: in pixels, that the canvases of a publication are scaled down to; null scales nothing.
        group: of the design bench: only the designs of this group.
        limit: at most so many briefs, from the front.
        draws: pictures that each model makes of each brief, from different noise.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    designs: str | None = None
    publication: str | None = None
    briefs: str | None = None
    truth: str | None = None
    split: str = "val"
    largest_side: int | None = Field(None, ge=16)
    group: str | None = None
    limit: int | None = Field(None, ge=2)
    draws: int = Field(1, ge=1, le=100)

    @model_validator(mode="after")
    def _is_one_bench(self) -> Self:
        if sum(each is not None for each in (self.designs, self.publication, self.briefs)) != 1:
            raise ValueError("give exactly one of designs, publication and briefs")
        if self.publication is not None and self.truth is not None:
            raise ValueError("the samples of a publication are the truth themselves: leave truth out")
        if self.group is not None and self.designs is None:
            raise ValueError("only a design bench has groups")
        if self.largest_side is not None and self.publication is None:
            raise ValueError("only the samples of a publication are scaled: leave largest_side out")
        return self


class BenchItem(BaseModel):
    """One brief of a bench; a line of a design bench.

    Attributes:
        brief: with the captions of its layers where these are known; a model with an anonymous layout reads the whole
            caption and the boxes alone.
        named: the labels that the whole caption names, each as often as it does; empty where nobody knows.
        group: of the design bench, what sort of design it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    brief: Brief
    named: tuple[str, ...]
    group: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes with the brief."""
        return hashlib.sha256(self.brief.model_dump_json().encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Bench:
    """What models are compared on.

    Attributes:
        title: for tables.
        truth_of: where the true designs lie; None where there are none.
        beyond: the briefs that a limit left out, in order; they tell a longer bench from another one.
    """

    title: str
    items: tuple[BenchItem, ...]
    truth_of: Samples | None = None
    beyond: tuple[BenchItem, ...] = ()

    def truth(self, item: BenchItem) -> LayeredImage | None:
        """The true design of a brief. Raises UserError when there should be one and it is missing or damaged."""
        return None if self.truth_of is None else self.truth_of.sample(item.brief.id)[0]


def open_bench(config: BenchConfig) -> Bench:
    """Reads a bench.

    Raises:
        UserError: when a file is missing or broken, fewer than two briefs are left, or a true design is missing.
    """
    if config.publication is not None:
        bench = _of_publication(config.publication, config.split, config.largest_side)
    elif config.designs is not None:
        designs = [item for item in read_designs(Path(config.designs)) if config.group in (None, item.group)]
        bench = Bench(f"design bench {Path(config.designs).name}", tuple(designs))
    else:
        bench = _of_briefs(Path(str(config.briefs)))
    items = bench.items[: config.limit]
    if len(items) < 2:
        raise UserError(f"{bench.title}: {len(items)} briefs are left; at least two are needed")
    truth = open_samples(Path(config.truth)) if config.truth is not None else bench.truth_of
    if truth is not None and (lacking := {item.brief.id for item in items} - set(truth.sample_ids)):
        raise UserError(f"{config.truth} lacks {len(lacking)} designs, such as {min(lacking)}: draw the bench again")
    return Bench(bench.title, items, truth, bench.items[len(items) :])


def read_designs(path: Path) -> list[BenchItem]:
    """The lines of a design bench. Raises UserError for a file that cannot be read; the line is named."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the bench {path}: {error}") from error
    items = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                items.append(BenchItem.model_validate_json(line))
            except ValidationError as error:
                raise UserError(f"{path}:{number}: {describe_validation_error(error)}") from error
    return items


def write_designs(path: Path, items: Sequence[BenchItem]) -> None:
    """Writes a design bench; equal designs have equal bytes."""
    lines = [json.dumps(item.model_dump(mode="json", exclude_none=True), ensure_ascii=False) for item in items]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def brief_of(sidecar: Sidecar) -> Brief:
    """What a published sample was asked for, with the boxes in which its layers stand, as ART+ learns from them.

    Raises:
        UserError: when it is no brief.
    """
    try:
        return Brief(
            id=sidecar.id,
            canvas=sidecar.canvas,
            style=sidecar.style_category,
            whole_caption=sidecar.whole_caption,
            base_caption=sidecar.base_caption,
            layers=tuple(
                BriefLayer(
                    kind=record.kind,
                    caption=record.caption or None,
                    box=record.box,
                    text=record.text or None,
                    font=record.font or None,
                    color=record.color or None,
                )
                for record in sidecar.layers
            ),
        )
    except ValidationError as error:
        raise UserError(f"sample {sidecar.id} is no brief: {describe_validation_error(error)}") from error


def named_in(brief: Brief) -> tuple[str, ...]:
    """The labels of the image layers whose captions name one of the judge's, and that the whole caption names too.

    Where no layer has a caption nobody knows which words mean things to draw and which the place, so there are none.
    """
    vocabulary = load_vocabulary()
    captions = [layer.caption for layer in brief.layers if layer.kind == "image" and layer.caption]
    labels = [vocabulary.concept_in(caption) for caption in captions]
    return tuple(label for label in labels if label and _says(brief.whole_caption, label, vocabulary.plural(label)))


def _says(caption: str, *names: str) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", caption.lower()) for name in names)


def _of_publication(path: str, split: str, largest_side: int | None) -> Bench:
    try:
        dataset = LayeredDataset.open(DataConfig(publication=path, split=split, largest_side=largest_side))
    except UserError as error:
        # Keys are named as they stand in a training's configuration.
        raise UserError(str(error).replace("data.", "bench.", 1)) from error
    samples = _ScaledSamples(dataset)
    briefs = [brief_of(samples.sidecar(sample_id)) for sample_id in samples.sample_ids]
    items = tuple(BenchItem(brief=brief, named=named_in(brief)) for brief in briefs)
    return Bench(
        f"FLUX bench ({split} of {dataset.publication.place}, {dataset.publication.fingerprint[:12]})", items, samples
    )


class _ScaledSamples:
    """What passes of a publication, as ART+ would learn from it."""

    def __init__(self, dataset: LayeredDataset) -> None:
        self._dataset = dataset

    @property
    def sample_ids(self) -> list[str]:
        return [record.sample_id for record in self._dataset.records]

    def sidecar(self, sample_id: str) -> Sidecar:
        return self.sample(sample_id)[1]

    def sample(self, sample_id: str) -> tuple[LayeredImage, Sidecar]:
        return self._dataset.sample(sample_id)


def _of_briefs(path: Path) -> Bench:
    briefs, bad = read_briefs(path)
    if bad:
        raise UserError(f"{bad[0]}" + (f"; and {len(bad) - 1} more" if len(bad) > 1 else ""))
    items = tuple(BenchItem(brief=brief, named=named_in(brief)) for brief in briefs)
    return Bench(f"briefs {path.name}", items)
