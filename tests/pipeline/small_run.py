"""A small run as the pipeline leaves it behind: some of it published, some flagged, failed, and not made yet."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from layered.scores import Score
from ledger.commit import ChunkRevision, ChunkSample, Failure, encode_sample, write_chunk
from ledger.run_directory import PLAN_FILE, TIMINGS_FOLDER, RunDirectory
from tests.ledger.runs import sample_id
from tests.shards.samples import make_sample

NASTY = '<b>bold</b> & "quoted" [red]text[/red] </script>'
"""A caption that would break a page or a terminal which takes it for markup."""

THRESHOLDS = {"clip_layer": 0.2, "clip_whole": 0.25}
FLAGGED, FAILED, PENDING = 3, 4, 6
"""Numbers of the samples that are flagged by their layer 1, that failed, and that are not made yet."""

INFO = {
    "config": {
        "name": "small run",
        "filters": {
            "clip_layer": {"threshold": 0.2},
            "clip_whole": {"threshold": 0.25},
            "clip_margin": {"enabled": False},
        },
    },
    "fingerprint": "f1" * 32,
    "fingerprint_parts": {"layer_flux.batch_size": 4},
    "software": {"torch": "2.13.0"},
    "models": {"layer_flux": {"model": "tiny", "revision": "r7", "licence": "Apache-2.0"}},
}


def layer_count(number: int) -> int:
    return 2 + number % 3


def small_run(path: Path, timed: bool = True) -> RunDirectory:
    """Two chunks of three samples are committed, the third is planned; see `FLAGGED`, `FAILED`, `PENDING`."""
    plan = pa.Table.from_pylist([_planned(number) for number in range(9)])
    stream = pa.BufferOutputStream()
    pq.write_table(plan, stream)
    run = RunDirectory.create(path, INFO, stream.getvalue().to_pybytes())
    for chunk in range(2):
        numbers = range(3 * chunk, 3 * chunk + 3)
        samples = [_failed(number) if number == FAILED else _made(number) for number in numbers]
        write_chunk(run.storage, ChunkRevision(chunk), samples)
    if timed:
        write_timings(run)
    return run


def write_timings(run: RunDirectory) -> None:
    """One sitting of ten seconds: one worker draws all the time, the other is busy for half of it."""
    reports = [
        {"stage": "layer_flux", "worker": "layer_flux-0", "items": 8, "started": 100.0, "ended": 110.0},
        {"stage": "matting", "worker": "cpu-0", "items": 6, "started": 101.0, "ended": 103.0},
        {"stage": "filtering", "worker": "cpu-0", "items": 5, "started": 104.0, "ended": 107.0},
    ]
    (run.path / TIMINGS_FOLDER).mkdir()
    lines = (json.dumps({**report, "chunk": 0, "failed": 0}) + "\n" for report in reports)
    (run.path / TIMINGS_FOLDER / "0000.jsonl").write_text("".join(lines))


def planned_table(run: RunDirectory) -> pa.Table:
    return pq.read_table(run.path / PLAN_FILE)


def _planned(number: int) -> dict[str, object]:
    """Each sample's pictures fill one batch of four, or a part of it."""
    draws = [{"layer_index": index, "batch": number % 3} for index in range(-1, layer_count(number))][:4]
    return {"sample_id": sample_id(number), "split": "train", "chunk": number // 3, "draws": draws}


def _made(number: int) -> ChunkSample:
    image, sidecar = make_sample(number, layer_count(number), style="neon")
    layers = tuple(layer.model_copy(update={"caption": f"{layer.caption} {NASTY}"}) for layer in sidecar.layers)
    sidecar = sidecar.model_copy(update={"layers": layers, "whole_caption": f"design {number} {NASTY}"})
    scores = [Score(sidecar.id, -1, "clip_whole", 0.4)]
    scores += [
        Score(sidecar.id, index, "clip_layer", 0.1 if (number, index) == (FLAGGED, 1) else 0.5)
        for index in range(len(layers))
    ]
    return encode_sample(image, sidecar, {}, scores)


def _failed(number: int) -> ChunkSample:
    failure = Failure("matting", 1, f"no object {NASTY}", "Traceback (most recent call last): …", '{"seed": 5}')
    return ChunkSample(sample_id(number), style="neon", layer_count=layer_count(number), failure=failure)
