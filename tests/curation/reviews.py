"""Reviews of small runs for tests."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from curation.app import make_app
from curation.library import Library
from curation.review import DuplicateGrouper, Review, ReviewSettings
from curation.store import DecisionStore
from curation.store_place import store_path
from layered.scores import Score
from ledger.commit import ChunkRevision, ChunkSample, encode_sample, write_chunk
from ledger.run_directory import RunDirectory
from tests.ledger.runs import failed_sample, make_run, sample_id
from tests.shards.samples import make_sample

THRESHOLDS = {"clip_layer": 0.2, "clip_whole": 0.25}
NASTY = '<img src=x onerror=alert(1)> & "quoted" </script>'


def reviewed_sample(number: int, caption: str = "", **fields: Any) -> ChunkSample:
    """A design of 2 to 4 layers. Every fourth is flagged by its layer 1; styles take turns; 6 hashes do too."""
    layers = 2 + number % 3
    image, sidecar = make_sample(number, layers, style=("flat", "neon", "pixel")[number % 3])
    sidecar = sidecar.model_copy(update={"whole_caption": caption or f"{layers} Things numbered {number} on a beach"})
    scores = [Score(sidecar.id, -1, "clip_whole", 0.3 + number / 100)]
    scores += [
        Score(sidecar.id, index, "clip_layer", 0.1 if (number % 4, index) == (3, 1) else 0.5 - number / 200)
        for index in range(layers)
    ]
    features = {"phash": bytes([number % 6] * 32)}
    return encode_sample(image, sidecar, {}, fields.get("scores", scores), features)


def review_run(path: Path, count: int = 12, per_chunk: int = 4, planned: int | None = None) -> RunDirectory:
    """A run of that many samples and one more, which failed. `planned` makes room for samples that are not made yet."""
    samples = [reviewed_sample(number) for number in range(count)]
    chunks = [samples[start : start + per_chunk] for start in range(0, count, per_chunk)]
    chunks[-1] = [*chunks[-1], failed_sample(count)]
    missing = [[]] if planned is None else [[failed_sample(number) for number in range(count + 1, planned)]]
    run = make_run(path, [*chunks, *(chunk for chunk in missing if chunk)])
    if planned is not None:
        last = ChunkRevision(len(chunks))
        run.storage.remove(last.record)
        run.storage.remove(last.tar)
    return run


def commit_more(run: RunDirectory, chunk: int, numbers: Sequence[int]) -> None:
    write_chunk(run.storage, ChunkRevision(chunk), [reviewed_sample(number) for number in numbers])


def open_review(
    run: RunDirectory, reviewer: str = "ann", overlap: int = 1, grouper: DuplicateGrouper | None = None
) -> Review:
    settings = ReviewSettings("small run", reviewer, overlap)
    return Review(Library(run, dict(THRESHOLDS)), DecisionStore(store_path(run)), settings, grouper)


@contextmanager
def client_of(review: Review, token: str | None = None) -> Iterator[TestClient]:
    """A browser's requests to a running server."""
    app = make_app(review, token, frozenset({"localhost"}))
    with TestClient(app, base_url="http://localhost") as client:
        yield client


_numbers = itertools.count()


def client_id() -> str:
    return str(uuid.UUID(int=next(_numbers)))


def event(number: int | str, verdict: str, **fields: Any) -> dict[str, Any]:
    """An event as the page sends it."""
    name = number if isinstance(number, str) else sample_id(number)
    return {"client_id": client_id(), "sample_id": name, "layer_index": -1, "verdict": verdict, **fields}


def decide(client: TestClient, *events: dict[str, Any], status: int = 200) -> dict[str, Any]:
    response = client.post("/api/decisions", json={"events": list(events)})
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ids_of(client: TestClient, **query: Any) -> list[str]:
    """The samples that a query shows, in order."""
    found = client.post("/api/query", json=query)
    assert found.status_code == 200, found.text
    rows = client.get(f"/api/query/{found.json()['query']}/rows", params={"start": 0, "count": 500}).json()["rows"]
    return [row["id"] for row in rows]


def numbers_of(client: TestClient, **query: Any) -> list[int]:
    return [int(name[1:]) for name in ids_of(client, **query)]
