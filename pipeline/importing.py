"""`layerprism import`: samples made elsewhere become a run, so that filters, review, shards and training work on them.

The plan lists the source's samples, chunks of them are read, encoded and committed as those of any run, and what cannot
be read is committed as failed, with its reason. Nothing is drawn: matting again is impossible, scoring is not.
"""

from __future__ import annotations

import functools
import hashlib
import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from rich.console import Console

from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.pixels import clear_hidden
from layered.png import encode_png
from layered.sidecar import Sidecar
from ledger.commit import ChunkRevision, ChunkSample, committed, encode_sample, next_revision
from ledger.index import RunIndex
from ledger.run_directory import FINGERPRINT, FINGERPRINT_PARTS, IMPORTED, RunDirectory, is_run
from ledger.storage import Storage
from pipeline.chunk_flow import commit_chunk
from pipeline.committing import Commit, CommitEntry, Committing
from pipeline.config import RunConfig
from pipeline.fingerprint import files_part
from pipeline.import_sources import Entry, Reader, Source, unique_ids
from pipeline.plan import SCHEMA, Plan, split_of_text
from pipeline.pools import Pools
from pipeline.progress import RunProgress
from pipeline.run import read_plan, software_versions
from pipeline.stage_set import StageSet
from pipeline.workers import run_bounded, working
from stages.stage import Failed, Stage

SAMPLES_PER_CHUNK: Final = 16


@dataclass(frozen=True)
class ImportItem:
    """One sample to be read, and the id that it gets."""

    sample_id: str
    entry: Entry


class Importing(Stage[ImportItem, ChunkSample]):
    """Reads samples and encodes them for a chunk.

    Args:
        licence: of layers that say nothing of theirs.
    """

    name = "importing"

    def __init__(self, source: Source, licence: str) -> None:
        self._source, self._licence = source, licence
        self._reader: Reader | None = None

    def setup(self) -> None:
        """Opens the source. Raises UserError when it is gone."""
        self._reader = self._source.reader()

    def process(self, batch: Sequence[ImportItem]) -> list[ChunkSample | Failed]:
        """One encoded sample per item, in order."""
        return [self._import(item) for item in batch]

    def _import(self, item: ImportItem) -> ChunkSample | Failed:
        assert self._reader is not None
        try:
            image, sidecar = adopted(*self._reader.read(item.entry), item, self._source, self._licence)
            return encode_sample(image, sidecar, {})
        except Exception as error:
            # Readers of foreign formats raise whatever a broken file leads them to; it must not end the import.
            what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return Failed(item.sample_id, self.name, f"{item.entry.label}: {what}", traceback.format_exc())


def adopted(
    image: LayeredImage, sidecar: Sidecar, item: ImportItem, source: Source, licence: str
) -> tuple[LayeredImage, Sidecar]:
    """A sample of foreign making as one of this run: RGB 0 where alpha is 0, layers renumbered, scores left behind.

    A missing whole caption is put together from those of base image and layers. Provenance tells where the sample and
    its captions come from.
    """
    layers = tuple(Layer(clear_hidden(layer.pixels), layer.box) for layer in image.layers)
    records = tuple(
        record.model_copy(
            update={
                "index": index,
                "sha256": hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
                "licence": record.licence or ("" if record.kind == "text" else licence),
            }
        )
        for index, (record, layer) in enumerate(zip(sidecar.layers, layers, strict=True))
    )
    provenance = {
        **sidecar.provenance,
        "imported_from": item.entry.label,
        "imported_as": source.kind,
    }
    if not provenance.get("base_licence") and licence:
        provenance["base_licence"] = licence
    caption = sidecar.whole_caption
    if not caption.strip():
        caption = ", ".join(text for text in (sidecar.base_caption, *(record.caption for record in records)) if text)
        provenance["whole_caption_source"] = "captions of base image and layers"
    described = sidecar.model_copy(
        update={
            "id": item.sample_id,
            "whole_caption": caption,
            "layers": records,
            "scores": {},
            "decision": "",
            "provenance": provenance,
        }
    )
    return LayeredImage(image.base, layers, image.merged), described


@dataclass(frozen=True)
class ImportSession:
    """A run of imported samples and what they come from. Its methods need `run.driving`."""

    run: RunDirectory
    config: RunConfig
    source: Source
    licence: str

    async def make(self, console: Console) -> None:
        """Imports every chunk that is not committed yet."""
        done = {commit.chunk for commit in committed(self.run.storage)}
        items = self._items_by_chunk()
        count = sum(map(len, items.values()))
        console.print(f"{count} samples in {len(items)} chunks" + (f"; {len(done)} chunks are done" if done else ""))
        pending = {ChunkRevision(chunk): part for chunk, part in items.items() if chunk not in done}
        await self._import(pending, console)

    async def retry(self, console: Console) -> None:
        """Reads the failed samples again, each chunk's as its next revision."""
        failed = RunIndex.load(self.run.storage).failed_by_chunk()
        if not failed:
            console.print("no sample has failed: nothing to retry")
            return
        items = self._items_by_chunk()
        pending = {
            next_revision(self.run.storage, chunk): [item for item in items[chunk] if item.sample_id in sample_ids]
            for chunk, sample_ids in failed.items()
        }
        await self._import(pending, console)

    async def _import(self, pending: Mapping[ChunkRevision, Sequence[ImportItem]], console: Console) -> None:
        if not pending:
            return
        planned = {revision.chunk: len(items) for revision, items in pending.items()}
        progress = RunProgress(console, planned, Importing.name, "samples")
        stages = import_stages(self.source, self.licence, self.run.storage)
        async with working(self.run, self.config, stages, progress) as pools:
            works = (
                functools.partial(_import_chunk, revision, items, pools, progress)
                for revision, items in pending.items()
            )
            await run_bounded(works, self.config.executor.chunks_in_flight)

    def _items_by_chunk(self) -> dict[int, list[ImportItem]]:
        """What the plan says, with what the source says of the same samples now."""
        table = read_plan(self.run).table
        chunks = dict(zip(table["sample_id"].to_pylist(), table["chunk"].to_pylist(), strict=True))
        items: dict[int, list[ImportItem]] = {}
        for sample_id, entry in unique_ids(self.source.entries()):
            if sample_id in chunks:
                items.setdefault(chunks[sample_id], []).append(ImportItem(sample_id, entry))
        return items


def new_import(path: Path, out: Path | str, config: RunConfig, licence: str = "") -> ImportSession:
    """A new run of what lies at `path`, or the one that is there, to go on with.

    Raises:
        UserError: when nothing there can be imported, or `out` holds something else, or an import of other files.
    """
    source = Source.at(path)
    digest, parts = import_fingerprint(source, config, licence)
    patience = config.storage.patience_seconds
    if is_run(out):
        run = RunDirectory.open(out, patience)
        run.require_fingerprint(digest, parts)
        return ImportSession(run, config, source, licence)
    plan = plan_import(source, config.plan.splits)
    info = {
        "config": config.model_dump(mode="json"),
        FINGERPRINT: digest,
        FINGERPRINT_PARTS: parts,
        IMPORTED: {"path": str(source.path.resolve()), "kind": source.kind, "licence": licence},
        "software": software_versions(),
        "models": {},
    }
    return ImportSession(RunDirectory.create(out, info, plan.to_bytes(), patience), config, source, licence)


def holds_import(place: Path | str) -> bool:
    """Whether a place holds a run of imported samples."""
    return is_run(place) and RunDirectory.open(place).imported is not None


def existing_import(run: RunDirectory, config: RunConfig) -> ImportSession:
    """The import that made a run. Raises UserError when its source is gone."""
    imported = run.imported
    if imported is None:
        raise ValueError(f"{run.place} was not imported")
    return ImportSession(run, config, Source.at(Path(imported["path"])), imported["licence"])


def plan_import(source: Source, splits: Mapping[str, float]) -> Plan:
    """One row per sample, in the source's order. Samples keep the split they had; otherwise equal designs share one.

    Raises:
        UserError: when the source cannot be read, or holds no sample.
    """
    rows = list(_plan_rows(source, splits))
    if not rows:
        raise UserError(f"{source.path} holds no sample")
    return Plan(pa.Table.from_pylist(rows, SCHEMA))


def import_fingerprint(source: Source, config: RunConfig, licence: str) -> tuple[str, dict[str, Any]]:
    """The fingerprint of an import and its parts: the files' content, and what is added to it."""
    parts: dict[str, Any] = {
        "import.kind": source.kind,
        "import.files": files_part(source.files(), source.path if source.path.is_dir() else source.path.parent),
        "import.licence": licence,
        "plan.splits": dict(config.plan.splits),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(), parts


def import_stages(source: Source, licence: str, storage: Storage) -> StageSet:
    """The stages of an import: no model is loaded."""
    return StageSet(
        generator={}, light={Importing.name: Importing(source, licence), Committing.name: Committing(storage)}
    )


async def _import_chunk(
    revision: ChunkRevision, items: Sequence[ImportItem], pools: Pools, progress: RunProgress
) -> None:
    # One after the other: what is decoded of a sample is gone before the next one is read.
    encoded = [handle for item in items for handle in await pools.keep(Importing.name, [item], revision.chunk)]
    entries = (CommitEntry(item.sample_id, None, handle) for item, handle in zip(items, encoded, strict=True))
    result = await commit_chunk(Commit(revision, tuple(entries)), pools)
    progress.on_chunk(revision.chunk)
    for sample_id, failure in result.failures:
        progress.say(f"sample {sample_id} failed: {failure.error}")


def _plan_rows(source: Source, splits: Mapping[str, float]) -> Iterable[dict[str, Any]]:
    for index, (sample_id, entry) in enumerate(unique_ids(source.entries())):
        yield {
            "sample_id": sample_id,
            "index": index,
            "chunk": index // SAMPLES_PER_CHUNK,
            "brief_id": entry.label,
            "variation": 0,
            "style": "",
            "split": entry.split or split_of_text(entry.alike, splits),
            "seed": 0,
            "image_layers": 0,
            "text_layers": 0,
            "brief": "",
            "draws": [],
        }
