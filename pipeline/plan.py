"""The plan of a run: every sample, draw, batch and chunk, fixed before anything is generated.

Guarantees:
    - Sample *i* is the same at any number of samples; a larger plan keeps all rows and chunks of a smaller one.
    - A sample lies in one chunk, a batch lies in one chunk, and all draws of a batch have one generation size.
    - Variations of one brief lie in one split.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layered.arrays import Size
from layered.brief import Brief, BriefLayer
from layered.errors import UserError
from layered.seeds import derive_seed
from pipeline.briefs import BriefList
from pipeline.config import RunConfig
from pipeline.plan_config import PlanConfig
from pipeline.prompts import base_prompt, layer_prompt, nearest_size
from shards.parquet import read_parquet
from stages.layer_flux import ResolvedLayerFlux, resolve_defaults
from stages.records import BASE_IMAGE, Draw, TextDraw

DEFAULT_FONT = "DejaVu Sans"
DEFAULT_TEXT_COLOR = "#000000"

SHORTEST_CHUNK = 0.75
"""A chunk may be closed this early, as a part of `plan.chunk_layers`, where that fills batches better."""


@dataclass(frozen=True)
class PlannedSample:
    """One design on its way through the run; `brief` already has the sample's style."""

    sample_id: str
    index: int
    chunk: int
    brief: Brief
    variation: int
    split: str
    seed: int


@dataclass(frozen=True)
class ChunkPlan:
    """What is generated and committed together.

    Attributes:
        batches: the first attempt at every layer and base image; each batch has one generation size.
        texts: the text layers of all samples.
    """

    index: int
    samples: tuple[PlannedSample, ...]
    batches: tuple[tuple[Draw, ...], ...]
    texts: tuple[TextDraw, ...]

    @property
    def draws(self) -> int:
        """Generated images, base images included."""
        return sum(map(len, self.batches))

    def only(self, sample_ids: Collection[str]) -> ChunkPlan:
        """The part of the chunk that makes these samples: the same draws, in smaller batches."""
        batches = (tuple(draw for draw in batch if draw.sample_id in sample_ids) for batch in self.batches)
        return ChunkPlan(
            self.index,
            tuple(sample for sample in self.samples if sample.sample_id in sample_ids),
            tuple(batch for batch in batches if batch),
            tuple(text for text in self.texts if text.sample_id in sample_ids),
        )


class Plan:
    """A table with one row per sample, and the chunks that it describes, read one at a time."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        chunks = table["chunk"].to_numpy()
        self._first_rows = [0, *((chunks[1:] != chunks[:-1]).nonzero()[0] + 1).tolist()] if len(chunks) else []

    def __len__(self) -> int:
        """The number of samples."""
        return int(self.table.num_rows)

    @property
    def chunk_count(self) -> int:
        return len(self._first_rows)

    def chunk(self, index: int) -> ChunkPlan:
        """The chunk with this number. Raises IndexError when there is none."""
        return _chunk_of_rows(index, self.chunk_table(index).to_pylist())

    def chunk_table(self, index: int) -> pa.Table:
        """The rows of one chunk, rows of `SCHEMA`. Raises IndexError when there is no such chunk."""
        if not 0 <= index < self.chunk_count:
            raise IndexError(f"the plan has chunks 0…{self.chunk_count - 1}, not {index}")
        start = self._first_rows[index]
        end = self._first_rows[index + 1] if index + 1 < self.chunk_count else len(self)
        return self.table.slice(start, end - start)

    def draws_per_chunk(self) -> list[int]:
        """Generated images of each chunk, base images included, without building the chunks."""
        counts = pc.list_value_length(self.table["draws"]).to_numpy()
        return [int(count) for count in np.add.reduceat(counts, self._first_rows)] if len(self) else []

    def batch_count(self) -> int:
        """Batches of all chunks, without building the chunks."""
        draws = self.table["draws"].combine_chunks()
        batches = pc.struct_field(pc.list_flatten(draws), "batch")
        chunks = self.table["chunk"].take(pc.list_parent_indices(draws))
        places = pa.table({"chunk": chunks, "batch": batches})
        return int(places.group_by(["chunk", "batch"], use_threads=False).aggregate([]).num_rows)

    def chunks(self) -> Iterator[ChunkPlan]:
        """All chunks in order, each built when it is asked for."""
        return map(self.chunk, range(self.chunk_count))

    def to_bytes(self) -> bytes:
        """The plan as Parquet; equal plans have equal bytes."""
        buffer = io.BytesIO()
        pq.write_table(self.table, buffer, compression="zstd")
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        return cls(read_parquet(io.BytesIO(data)).cast(SCHEMA))

    def write(self, path: Path) -> None:
        path.write_bytes(self.to_bytes())

    @classmethod
    def read(cls, path: Path) -> Plan:
        return cls.from_bytes(path.read_bytes())


SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("index", pa.int64()),
        ("chunk", pa.int32()),
        ("brief_id", pa.string()),
        ("variation", pa.int32()),
        ("style", pa.string()),
        ("split", pa.string()),
        ("seed", pa.int64()),
        ("image_layers", pa.int32()),
        ("text_layers", pa.int32()),
        ("brief", pa.string()),
        (
            "draws",
            pa.list_(
                pa.struct(
                    [
                        ("layer_index", pa.int32()),
                        ("batch", pa.int32()),
                        ("seed", pa.int64()),
                        ("prompt", pa.string()),
                        ("width", pa.int32()),
                        ("height", pa.int32()),
                    ]
                )
            ),
        ),
    ]
)
"""One row per sample; `draws` lists its base image (layer_index -1) and image layers; `batch` counts within a chunk. An
imported sample has neither: its `brief` is empty, and `brief_id` tells what it is imported from."""


def make_plan(config: RunConfig, briefs: BriefList) -> Plan:
    """The plan of a new run.

    Raises:
        UserError: when the configuration contradicts itself or its briefs, or names a model folder that is missing.
    """
    return extend_plan(Plan(SCHEMA.empty_table()), config, briefs)


def extend_plan(old: Plan, config: RunConfig, briefs: BriefList, total: int | None = None) -> Plan:
    """`old` with all its rows and chunks as they are, and new chunks for the samples that it lacks.

    Args:
        total: how many samples there will be; None leaves it to the configuration.

    Raises:
        UserError: as `make_plan`, and when fewer samples are asked for than `old` has.
    """
    if total is None:
        total = sample_count(config.plan, briefs)
        if config.plan.accepted is not None:
            total = max(total, len(old))  # a run that was topped up before is never too large
    if total < len(old):
        raise UserError(f"the run was planned with {len(old)} samples, now {total} are asked for: a run can only grow")
    if total == len(old):
        return old
    settings = resolve_defaults(config.layer_flux)
    return _with_samples(old, config, briefs, settings, range(len(old), total))


def plan_of(config: RunConfig, briefs: BriefList, indices: Iterable[int]) -> Plan:
    """A plan of some of a run's samples, each with the brief, the seeds and the prompts that it has there.

    Raises:
        UserError: as `make_plan`.
    """
    settings = resolve_defaults(config.layer_flux)
    return _with_samples(Plan(SCHEMA.empty_table()), config, briefs, settings, indices)


def _with_samples(
    old: Plan, config: RunConfig, briefs: BriefList, settings: ResolvedLayerFlux, indices: Iterable[int]
) -> Plan:
    new = (_drafted(index, config, settings, briefs) for index in indices)
    tables = [old.table]
    for number, drafts in enumerate(_cut(new, config.plan.chunk_layers, settings.batch_size), start=old.chunk_count):
        tables.append(pa.Table.from_pylist(_chunk_rows(number, drafts, settings.batch_size), schema=SCHEMA))
    return Plan(pa.concat_tables(tables).combine_chunks())


def sample_count(config: PlanConfig, briefs: BriefList) -> int:
    """How many samples a run has at first. Raises UserError when `samples` and `variations` contradict each other."""
    most = _most_variations(config, briefs)
    if config.first_samples is None:
        return len(briefs.briefs) * (config.variations or 1)
    if config.samples is not None and most is not None and config.samples > most:
        raise UserError(
            f"plan.samples is {config.samples}, but {len(briefs.briefs)} briefs in {config.variations} variations make "
            f"{most}: raise plan.variations or leave it out"
        )
    return config.first_samples if most is None else min(config.first_samples, most)


def most_samples(config: PlanConfig, briefs: BriefList) -> int:
    """How many samples a run may come to have."""
    most, asked = _most_variations(config, briefs), config.most_samples
    return min(each for each in (most, asked or sample_count(config, briefs)) if each is not None)


def _most_variations(config: PlanConfig, briefs: BriefList) -> int | None:
    """What `plan.variations` makes of a file of briefs; None where there is no end."""
    return None if briefs.designed or not config.variations else len(briefs.briefs) * config.variations


def sample_id_of(index: int) -> str:
    """``s0000042``: sorts by index up to ten million samples, and is a valid key."""
    return f"s{index:07d}"


def split_of(brief: Brief, splits: Mapping[str, float]) -> str:
    """The split that a brief's content falls into, by hash; its id and style do not matter."""
    return split_of_text(json.dumps(brief.model_dump(mode="json", exclude={"id", "style"}), sort_keys=True), splits)


def split_of_text(content: str, splits: Mapping[str, float]) -> str:
    """The split that a text falls into, by hash."""
    place = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest(), "big") / 2**64
    border = 0.0
    for name, share in splits.items():
        border += share
        if place < border:
            return name
    return [name for name, share in splits.items() if share > 0][-1]  # the shares sum to 1 only nearly


def restyled(brief: Brief, style: str) -> Brief:
    """The brief in another style; a caption that opens with "This is a … style image." follows."""
    opening = rf"\AThis is an? {re.escape(brief.style)} style image\."
    article = "an" if style[:1] in "aeiou" else "a"
    caption = re.sub(opening, lambda _: f"This is {article} {style} style image.", brief.whole_caption)
    return brief.model_copy(update={"style": style, "whole_caption": caption})


@dataclass(frozen=True)
class _Draft:
    """A sample before it has a place in a chunk; `draws` holds the base image first, then its image layers."""

    sample: PlannedSample
    draws: tuple[Draw, ...]


def _drafted(index: int, config: RunConfig, settings: ResolvedLayerFlux, briefs: BriefList) -> _Draft:
    if briefs.designed:
        brief_index, variation = divmod(index, config.plan.variations or 1)
    else:
        variation, brief_index = divmod(index, len(briefs.briefs))
    brief = briefs.briefs[brief_index]
    split = split_of(brief, config.plan.splits)
    if styles := config.plan.styles:
        brief = restyled(brief, styles[(brief_index + variation) % len(styles)])
    sample_id = sample_id_of(index)
    seed = derive_seed(config.seed, sample_id, BASE_IMAGE, 0, "sample")
    sample = PlannedSample(sample_id, index, -1, brief, variation, split, seed)
    return _Draft(sample, tuple(_draws_of(brief, sample_id, config.seed, settings)))


def _draws_of(brief: Brief, sample_id: str, run_seed: int, settings: ResolvedLayerFlux) -> Iterator[Draw]:
    yield Draw(
        sample_id=sample_id,
        layer_index=BASE_IMAGE,
        attempt=0,
        seed=derive_seed(run_seed, sample_id, BASE_IMAGE, 0, "noise"),
        prompt=base_prompt(brief.base_caption, brief.style, settings),
        caption=brief.base_caption,
        size=nearest_size(brief.canvas, settings.base_sizes),
    )
    for index, layer in enumerate(brief.layers):
        if layer.kind == "image":
            caption = layer.caption or ""
            yield Draw(
                sample_id=sample_id,
                layer_index=index,
                attempt=0,
                seed=derive_seed(run_seed, sample_id, index, 0, "noise"),
                prompt=layer_prompt(caption, brief.style, settings),
                caption=caption,
                size=nearest_size(layer.placed_box().size, settings.layer_sizes),
            )


def _cut(drafts: Iterable[_Draft], chunk_layers: int, batch_size: int) -> Iterator[list[_Draft]]:
    """Chunks of at most `chunk_layers` draws (more only where one sample has more), cut where batches are fullest."""
    pending: list[_Draft] = []
    for draft in drafts:
        while pending and _draw_count(pending) + len(draft.draws) > chunk_layers:
            end = _fullest_end(pending, chunk_layers, batch_size)
            yield pending[:end]
            pending = pending[end:]
        pending.append(draft)
    if pending:
        yield pending


def _draw_count(drafts: Sequence[_Draft]) -> int:
    return sum(len(draft.draws) for draft in drafts)


def _fullest_end(drafts: Sequence[_Draft], chunk_layers: int, batch_size: int) -> int:
    """How many of `drafts` make the chunk with the best batch fill; of equals the longest."""
    sizes: Counter[Size] = Counter()
    best, best_fill = len(drafts), 0.0
    for end, draft in enumerate(drafts, start=1):
        sizes.update(draw.size for draw in draft.draws)
        batches = sum(math.ceil(count / batch_size) for count in sizes.values())
        fill = sizes.total() / (batches * batch_size)
        if fill >= best_fill and (sizes.total() >= SHORTEST_CHUNK * chunk_layers or end == len(drafts)):
            best, best_fill = end, fill
    return best


def _chunk_rows(chunk: int, drafts: Sequence[_Draft], batch_size: int) -> list[dict[str, Any]]:
    draws = [draw for draft in drafts for draw in draft.draws]
    batch_of = {
        (draw.sample_id, draw.layer_index): number
        for number, batch in enumerate(_batches(draws, batch_size))
        for draw in batch
    }
    return [_row(chunk, draft, batch_of) for draft in drafts]


def _batches(draws: Sequence[Draw], batch_size: int) -> Iterator[list[Draw]]:
    """Draws of one size together, equal prompts side by side: their embedding is computed once."""
    ordered = sorted(draws, key=_place_in_chunk)
    for size in sorted({draw.size for draw in draws}):
        same = [draw for draw in ordered if draw.size == size]
        for start in range(0, len(same), batch_size):
            yield same[start : start + batch_size]


def _place_in_chunk(draw: Draw) -> tuple[str, str, int]:
    return draw.prompt, draw.sample_id, draw.layer_index


def _row(chunk: int, draft: _Draft, batch_of: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    sample = draft.sample
    return {
        "sample_id": sample.sample_id,
        "index": sample.index,
        "chunk": chunk,
        "brief_id": sample.brief.id,
        "variation": sample.variation,
        "style": sample.brief.style,
        "split": sample.split,
        "seed": sample.seed,
        "image_layers": sum(layer.kind == "image" for layer in sample.brief.layers),
        "text_layers": sum(layer.kind == "text" for layer in sample.brief.layers),
        "brief": sample.brief.model_dump_json(exclude_none=True),
        "draws": [
            {
                "layer_index": draw.layer_index,
                "batch": batch_of[draw.sample_id, draw.layer_index],
                "seed": draw.seed,
                "prompt": draw.prompt,
                "width": draw.size[0],
                "height": draw.size[1],
            }
            for draw in draft.draws
        ],
    }


def _chunk_of_rows(index: int, rows: Sequence[Mapping[str, Any]]) -> ChunkPlan:
    samples: list[PlannedSample] = []
    texts: list[TextDraw] = []
    batches: dict[int, list[Draw]] = {}
    for row in rows:
        brief = Brief.model_validate_json(row["brief"])
        sample_id = row["sample_id"]
        samples.append(
            PlannedSample(sample_id, row["index"], row["chunk"], brief, row["variation"], row["split"], row["seed"])
        )
        for draw in row["draws"]:
            layer_index = draw["layer_index"]
            caption = brief.base_caption if layer_index == BASE_IMAGE else brief.layers[layer_index].caption or ""
            size = (draw["width"], draw["height"])
            request = Draw(sample_id, layer_index, 0, draw["seed"], draw["prompt"], caption, size)
            batches.setdefault(draw["batch"], []).append(request)
        texts += _texts_of(brief, sample_id)
    in_order = (tuple(sorted(batches[number], key=_place_in_chunk)) for number in sorted(batches))
    return ChunkPlan(index, tuple(samples), tuple(in_order), tuple(texts))


def _texts_of(brief: Brief, sample_id: str) -> Iterator[TextDraw]:
    for index, layer in enumerate(brief.layers):
        if layer.kind == "text":
            yield text_draw(sample_id, index, layer)


def text_draw(sample_id: str, index: int, layer: BriefLayer) -> TextDraw:
    """The request for a text layer, its font and colour filled in where the brief leaves them open."""
    font, color = layer.font or DEFAULT_FONT, layer.color or DEFAULT_TEXT_COLOR
    return TextDraw(sample_id, index, layer.text or "", font, color, layer.placed_box())
