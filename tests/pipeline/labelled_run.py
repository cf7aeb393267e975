"""A run with scores that tell good samples from bad ones to a known degree, and people's decisions on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from layered.scores import Score
from ledger.commit import ChunkRevision, ChunkSample, Failure, encode_sample, write_chunk
from ledger.decisions import Decision, append_decisions
from ledger.run_directory import RunDirectory
from tests.ledger.runs import on, sample_id
from tests.shards.samples import make_sample

INFO = {"config": {"name": "labelled run", "filters": {}}, "fingerprint": "f1" * 32, "fingerprint_parts": {}}
SAMPLES = 160
FAILED = 159
LAYERS = 2


def truth(number: int) -> bool:
    """Whether people would keep a sample: 70 % of them."""
    return bool(np.random.default_rng([3, number]).random() < 0.7)


def scores_of(number: int) -> list[Score]:
    """`clip_layer` tells much by its worst layer, `alpha_halo` a little, `alpha_cut` nothing."""
    rng = np.random.default_rng([4, number])
    good = truth(number)
    rows = [Score(sample_id(number), -1, "clip_whole", 0.3 + 0.05 * rng.normal())]
    worst = int(rng.integers(LAYERS))
    for layer in range(LAYERS):
        shown = 0.45 + 0.05 * rng.normal() - (0.15 if layer == worst and not good else 0.0)
        halo = float(np.clip(0.8 + 0.1 * rng.normal() - (0 if good else 0.1), 0, 1))
        rows += [Score(sample_id(number), layer, "clip_layer", float(shown))]
        rows += [Score(sample_id(number), layer, "alpha_halo", halo)]
        rows += [Score(sample_id(number), layer, "alpha_cut", float(rng.uniform(0.5, 1)))]
    return rows


def labelled_run(path: Path, scores: Callable[[int], list[Score]] = scores_of) -> RunDirectory:
    """Two chunks; the last sample failed. No decisions yet."""
    plan = pa.Table.from_pylist(
        [{"sample_id": sample_id(n), "split": "train", "chunk": n // 80, "draws": []} for n in range(SAMPLES)],
        pa.schema(
            [
                ("sample_id", pa.string()),
                ("split", pa.string()),
                ("chunk", pa.int32()),
                ("draws", pa.list_(pa.struct([("layer_index", pa.int32()), ("batch", pa.int32())]))),
            ]
        ),
    )
    stream = pa.BufferOutputStream()
    pq.write_table(plan, stream)
    run = RunDirectory.create(path, INFO, stream.getvalue().to_pybytes())
    for chunk in range(2):
        samples = [_made(number, scores) for number in range(80 * chunk, 80 * chunk + 80)]
        write_chunk(run.storage, ChunkRevision(chunk), samples)
    return run


def decisions(count: int = SAMPLES - 1, audit: int = 60) -> list[Decision]:
    """Verdicts on the first samples; those of the audit, spread among them, with their inclusion probability."""
    found = []
    for number in range(count):
        of_audit = number * audit // count != (number - 1) * audit // count
        verdict = "keep" if truth(number) else "reject"
        found.append(
            on(
                number,
                number,
                verdict,
                reasons=() if truth(number) else (("halo",) if number % 3 else ("wrong_object", "blur")),
                queue="audit" if of_audit else "flagged first",
                inclusion_probability=0.375 if of_audit else 0.5,
            )
        )
    return found


def decide(run: RunDirectory, *made: Decision) -> None:
    append_decisions(run.storage, list(made))


def _made(number: int, scores: Callable[[int], list[Score]]) -> ChunkSample:
    if number == FAILED:
        return ChunkSample(sample_id(number), failure=Failure("matting", 1, "no object", "Traceback …", "{}"))
    image, sidecar = make_sample(number, LAYERS)
    return encode_sample(image, sidecar, {}, scores(number))
