"""Small runs for tests."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layered.scores import Score
from ledger.commit import ChunkRevision, ChunkSample, Failure, encode_sample, write_chunk
from ledger.decisions import Decision
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from tests.shards.samples import make_sample

FINGERPRINT = {"fingerprint": "f1", "fingerprint_parts": {"seed": 1, "layer_flux": {"model": "tiny", "steps": 20}}}


def sample_id(number: int) -> str:
    return f"s{number:07d}"


def chunk_sample(number: int, layers: int = 2, clip: float = 0.5, keep_raw: bool = True) -> ChunkSample:
    """An encoded design; the whole image and each layer have the score `clip`."""
    image, sidecar = make_sample(number, layers)
    raws = {index - 1: image.base for index in range(layers + 1)} if keep_raw else {}
    scores = [
        Score(sidecar.id, index - 1, "clip_layer" if index else "clip_whole", clip) for index in range(layers + 1)
    ]
    features = {"phash": number.to_bytes(8, "big")}
    return encode_sample(image, sidecar, raws, scores, features, {0: (4, 64, 64)})


def score_rows(index: RunIndex) -> list[dict[str, Any]]:
    """All scores of a run, a row each."""
    return [row for table in index.score_batches() for row in table.to_pylist()]


def failed_sample(number: int) -> ChunkSample:
    return ChunkSample(
        sample_id(number), style="flat", failure=Failure("matting", 1, "no object", "Traceback …", '{"a":1}')
    )


def plan_bytes(count: int) -> bytes:
    """A plan with every fifth sample in the split ``val``."""
    numbers = range(count)
    table = pa.table(
        {
            "sample_id": [sample_id(number) for number in numbers],
            "split": ["val" if number % 5 == 4 else "train" for number in numbers],
        }
    )
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream)
    return stream.getvalue().to_pybytes()


def make_run(place: Path | str, chunks: Iterable[Iterable[ChunkSample]]) -> RunDirectory:
    """A run with those chunks committed."""
    contents = [list(chunk) for chunk in chunks]
    run = RunDirectory.create(place, FINGERPRINT, plan_bytes(sum(len(chunk) for chunk in contents)))
    for number, chunk in enumerate(contents):
        write_chunk(run.storage, ChunkRevision(number), chunk)
    return run


def ordinary_run(place: Path | str) -> RunDirectory:
    """Three chunks of three samples, the last of which failed; sample 3 scores low."""
    samples = [chunk_sample(number, 2 + number % 3, clip=0.1 if number == 3 else 0.5) for number in range(8)]
    return make_run(place, [samples[:3], samples[3:6], [*samples[6:8], failed_sample(8)]])


def decision(event: int, verdict: Any, layer: int = -1, sample: str = "s1", **fields: Any) -> Decision:
    """A decision by Ann, made `event` minutes past noon."""
    values: dict[str, Any] = {"reasons": (), "rating": None, "caption": "", "reviewer": "ann"}
    values["at"] = datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(minutes=event)
    return Decision(f"e{event}", sample, layer, verdict, **{**values, **fields})


def on(number: int, event: int, verdict: str, layer: int = -1, **fields: Any) -> Decision:
    """The same on a sample by its number."""
    return decision(event, verdict, layer, sample_id(number), **fields)
