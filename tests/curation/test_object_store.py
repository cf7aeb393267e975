"""The review page of a run in S3: pictures by byte range from there, decisions pushed to there."""

from pathlib import Path

import pytest

from ledger.decisions import read_decisions, resolve
from ledger.publication import publish
from shards.writer import ShardConfig
from tests.curation.reviews import client_of, decide, event, open_review, review_run
from tests.ledger.runs import sample_id


def test_a_run_in_s3_is_reviewed_and_published(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    run = review_run(f"{bucket}/run")
    review = open_review(run)
    assert review.store.path.is_relative_to(tmp_path), "SQLite cannot live in a bucket"
    with client_of(review) as client:
        assert client.get("/api/session").json()["run"]["path"] == run.place
        query = client.post("/api/query", json={}).json()
        rows = client.get(f"/api/query/{query['query']}/rows?start=0&count=20").json()["rows"]
        assert len(rows) == 12
        for row in rows:
            picture = client.get(row["thumb"])
            assert picture.status_code == 200
            assert picture.content[8:12] == b"WEBP"
        decide(client, event(1, "pro"), event(2, "reject"))
    decisions = resolve(read_decisions(run.storage))
    assert [decisions[sample_id(number)].whole.verdict for number in (1, 2)] == ["pro", "reject"]  # type: ignore[union-attr]
    published = publish(run, ShardConfig(), {}).publication.sample_ids
    assert sample_id(1) in published
    assert sample_id(2) not in published
