import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from curation.review import Review
from ledger.commit import ChunkRevision, write_chunk
from ledger.decisions import append_decisions, read_decisions, resolve
from ledger.run_directory import RunDirectory
from tests.curation.reviews import (
    NASTY,
    client_id,
    client_of,
    commit_more,
    decide,
    event,
    ids_of,
    numbers_of,
    open_review,
    review_run,
    reviewed_sample,
)
from tests.ledger.runs import make_run, on, sample_id


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return review_run(tmp_path / "run")


@pytest.fixture
def review(run: RunDirectory) -> Review:
    return open_review(run)


@pytest.fixture
def client(review: Review) -> Iterator[TestClient]:
    with client_of(review) as client:
        yield client


def sample(client: TestClient, number: int, **query: str) -> dict[str, Any]:
    response = client.get(f"/api/sample/{sample_id(number)}", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def until(condition: Callable[[], bool]) -> None:
    """Waits for what a running server does by itself."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_a_session_tells_all_that_the_page_needs(client: TestClient) -> None:
    session = client.get("/api/session").json()
    assert session["run"]["samples"] == 12
    assert (session["run"]["failed"], session["run"]["planned"], session["run"]["complete"]) == (1, 13, True)
    assert session["reviewer"] == "ann"
    assert session["styles"] == ["flat", "neon", "pixel"]
    scores = {score["name"]: score for score in session["scores"]}
    assert scores["clip_whole"] == {
        "name": "clip_whole",
        "of": "sample",
        "threshold": 0.25,
        "low": pytest.approx(0.3),
        "high": pytest.approx(0.41),
    }
    assert scores["clip_layer"]["of"] == "layer"
    assert {queue["name"]: queue["left"] for queue in session["queues"]}["undecided"] == 12
    assert [reason["name"] for reason in session["reasons"]][:2] == ["empty", "cut"]


def test_rows_carry_what_the_grid_shows(client: TestClient) -> None:
    decide(client, event(3, "reject", reasons=["halo"]), event(3, "reject", layer_index=1, reasons=["cut"]))
    found = client.post("/api/query", json={"passed": False}).json()
    assert found["total"] == 3
    rows = client.get(f"/api/query/{found['query']}/rows?start=0&count=2").json()
    assert (rows["start"], rows["total"], len(rows["rows"])) == (0, 3, 2)
    row = rows["rows"][0]
    thumb = row.pop("thumb")
    assert row == {
        "id": sample_id(3),
        "canvas": [30, 20],
        "verdict": "reject",
        "passed": False,
        "reasons": ["cut", "halo"],
        "layers": 2,
        "style": "flat",
    }
    picture = client.get(thumb)
    assert (picture.content[:4], picture.headers["content-type"]) == (b"RIFF", "image/webp")
    assert "immutable" in picture.headers["cache-control"]
    assert client.get(f"/api/query/{found['query']}/rows?start=99&count=2").json()["rows"] == []
    assert client.get(f"/api/query/{found['query']}/rows?start=-1").status_code == 400


def test_a_sample_shows_layers_scores_flags_and_pictures(client: TestClient) -> None:
    found = sample(client, 3)
    assert found["flags"] == [{"layer": 1, "name": "clip_layer", "score": 0.1, "threshold": 0.2}]
    assert len(found["scores"]) == 3
    assert found["caption"] == "2 Things numbered 3 on a beach"
    assert found["images"]["merged"] is None
    for address in (found["images"]["whole"], found["images"]["base"], *(x["image"] for x in found["layers"])):
        assert client.get(address).content.startswith(b"\x89PNG")
    assert client.get(found["layers"][1]["thumb"]).status_code == 200
    assert found["layers"][0]["seed"] == str(2**62), "JavaScript would round the number"


def test_a_failed_or_unknown_sample_is_said_to_be_so(client: TestClient) -> None:
    for number, message in ((12, "has failed"), (99, "is not in this run")):
        response = client.get(f"/api/sample/{sample_id(number)}")
        assert (response.status_code, message in response.json()["error"]) == (404, True)
        assert decide(client, event(number, "keep"), status=404)["error"]


def test_decide_undo_and_redo(client: TestClient, review: Review) -> None:
    answer = decide(client, event(1, "keep", rating=3.0, caption="better"), event(1, "pro", reasons=[]))
    assert answer["samples"][sample_id(1)]["verdict"] == "pro"
    assert answer["samples"][sample_id(1)]["rating"] == 3, "what is not said again stays"
    assert answer["samples"][sample_id(1)]["caption"] == "better"
    assert decide(client, event(1, "undo"))["samples"][sample_id(1)]["verdict"] == "keep"
    assert decide(client, event(1, "pro", caption="", rating=None))["samples"][sample_id(1)]["caption"] == ""
    assert [each["verdict"] for each in sample(client, 1)["history"]] == ["keep", "pro", "undo", "pro"]
    assert resolve(review.store.all())[sample_id(1)].whole == review.verdicts.states[sample_id(1)].decisive


def test_a_retried_request_counts_once(client: TestClient, review: Review) -> None:
    once = event(2, "reject", reasons=["halo"])
    first, second = decide(client, once), decide(client, once)
    assert first["accepted"] == second["accepted"]
    assert len(list(review.store.all())) == 1
    assert "something else" in decide(client, {**once, "verdict": "keep"}, status=409)["error"]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "love"},
        {"reasons": ["dull"]},
        {"client_id": "1"},
        {"rating": 9},
        {"rating": "NaN"},
        {"layer_index": 100},
        {"layer_index": 9},
        {"caption": "x" * 5000},
        {"reviewer": "eve"},
        {"sample_id": 7},
    ],
)
def test_impossible_decisions_are_refused_whole(client: TestClient, review: Review, change: dict[str, Any]) -> None:
    decide(client, event(1, "keep"), {**event(2, "keep"), **change}, status=400)
    assert list(review.store.all()) == []


def test_reviewers_are_told_apart_by_their_browser(client: TestClient, review: Review) -> None:
    decide(client, event(1, "keep"))
    assert client.post("/api/session", json={"reviewer": " Zoë ", "keys": {"pro": "p"}}).json() == {"reviewer": "Zoë"}
    assert client.get("/api/session").json()["keys"] == {"pro": "p"}
    decide(client, event(1, "reject", reasons=["halo"]))
    assert sample(client, 1)["reviewers"] == {"ann": "keep", "Zoë": "reject"}
    assert client.get("/api/session").json()["reviewers"] == ["Zoë", "ann"]
    assert client.post("/api/session", json={"reviewer": "\n"}).status_code == 400
    agreement = client.get("/api/agreement").json()
    assert agreement["pairs"][0]["samples"] == 1
    assert ids_of(client, queue="conflict") == [sample_id(1)]


def test_many_are_decided_at_once_and_taken_back_at_once(client: TestClient, review: Review) -> None:
    found = client.post("/api/query", json={"styles": ["neon"]}).json()
    body = {"query": found["query"], "verdict": "reject", "reasons": ["ugly"], "except": [sample_id(4)]}
    done = client.post("/api/bulk", json=body).json()
    assert done["count"] == 3
    assert numbers_of(client, decisions=["reject"]) == [1, 7, 10]
    decide(client, event(7, "keep"))
    assert client.post("/api/bulk/undo", json={"undo": done["undo"]}).json() == {"count": 2, "kept": 1}
    assert client.post("/api/bulk/undo", json={"undo": done["undo"]}).json() == {"count": 0, "kept": 3}
    assert numbers_of(client, decisions=["keep", "reject"]) == [7]
    chosen = {"samples": [sample_id(1), sample_id(2)], "verdict": "pro"}
    assert client.post("/api/bulk", json=chosen).json()["count"] == 2
    assert client.post("/api/bulk", json={"verdict": "pro"}).status_code == 400
    client.post("/api/session", json={"reviewer": "bob"})
    assert client.post("/api/bulk/undo", json={"undo": done["undo"]}).status_code == 404


def test_the_next_samples_come_without_those_decided(client: TestClient, review: Review) -> None:
    first = client.get("/api/next?queue=undecided&count=3").json()["samples"]
    decide(client, event(first[0], "keep", queue="undecided"))
    second = client.get(f"/api/next?queue=undecided&count=3&after={first[1]}").json()["samples"]
    assert second[0] == first[2]
    assert first[0] not in second
    (stored,) = review.store.all()
    assert stored.queue in ("undecided", "audit")
    assert client.get("/api/next?queue=everything").status_code == 400


def test_calibration_hides_scores_and_other_verdicts_until_the_own_one(client: TestClient) -> None:
    decide(client, event(3, "reject", reasons=["halo"]))
    client.post("/api/session", json={"reviewer": "bob"})
    given = client.get("/api/next?queue=calibration&count=50").json()["samples"]
    assert sample_id(3) in given
    hidden = sample(client, 3, queue="calibration")
    assert (hidden["scores_hidden"], hidden["scores"], hidden["flags"], hidden["passed"]) == (True, [], [], None)
    assert (hidden["verdicts_hidden"], hidden["verdict"], hidden["history"], hidden["reviewers"]) == (
        True,
        None,
        [],
        {},
    )
    assert client.post("/api/query", json={"queue": "calibration", "passed": True}).status_code == 400
    query = client.post("/api/query", json={"queue": "calibration"}).json()["query"]
    rows = {row["id"]: row for row in client.get(f"/api/query/{query}/rows").json()["rows"]}
    assert (rows[sample_id(3)]["passed"], rows[sample_id(3)]["verdict"], rows[sample_id(3)]["reasons"]) == (
        None,
        None,
        [],
    )
    assert client.get(f"/api/query/{query}/histogram?score=clip_whole").status_code == 400
    by_score = {"queue": "calibration", "sort": [{"by": "clip_layer"}]}
    assert client.post("/api/query", json=by_score).status_code == 400
    decide(client, event(3, "keep", queue="calibration"))
    rows = {row["id"]: row for row in client.get(f"/api/query/{query}/rows").json()["rows"]}
    assert (rows[sample_id(3)]["passed"], rows[sample_id(3)]["verdict"]) == (False, "keep")
    shown = sample(client, 3, queue="calibration")
    assert (shown["scores_hidden"], len(shown["scores"]), shown["reviewers"]["ann"]) == (False, 3, "reject")


def test_histograms_belong_to_a_result(client: TestClient) -> None:
    query = client.post("/api/query", json={"styles": ["flat"]}).json()["query"]
    shown = client.get(f"/api/query/{query}/histogram?score=clip_whole").json()
    assert (sum(shown["counts"]), shown["threshold"]) == (4, 0.25)
    assert client.get(f"/api/query/{query}/histogram?score=beauty").status_code == 400


def test_near_duplicates_are_shown_in_groups(run: RunDirectory) -> None:
    def grouper(hashes: np.ndarray) -> np.ndarray:
        _, first, kind = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        return np.asarray(first[kind.ravel()])

    review = open_review(run, grouper=grouper)
    with client_of(review) as client:
        until(lambda: bool(client.get("/api/session").json()["duplicates"]))
        assert numbers_of(client, group="duplicates") == [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]
        assert sample(client, 2)["duplicates"] == [sample_id(8)]


def test_a_page_without_groups_says_why_and_goes_on(run: RunDirectory) -> None:
    def grouper(hashes: np.ndarray) -> np.ndarray:
        raise ValueError("no index of that size")

    review = open_review(run, grouper=grouper)
    told: list[Any] = []
    review.bus.send = lambda kind, content: told.append((kind, content))  # type: ignore[method-assign]
    with client_of(review) as client:
        until(lambda: ("problem", {"message": "no index of that size"}) in told)
        assert client.post("/api/query", json={"group": "duplicates"}).status_code == 400
        decide(client, event(1, "keep"))
    assert len(read_decisions(run.storage)) == 1


def test_decisions_leave_and_come_back_as_files(client: TestClient, review: Review) -> None:
    decide(client, event(1, "keep"), event(2, "reject", reasons=["halo", "cut"]))
    for kind, media in (("csv", "text/csv"), ("parquet", "application/vnd.apache.parquet")):
        content = client.get("/api/export", params={"format": kind}).content
        answer = client.post("/api/import", content=content, headers={"content-type": media})
        assert answer.json() == {"events": 2, "new": 0}
    assert client.get("/api/export?format=exe").status_code == 400
    csv = client.get("/api/export?format=csv").text.replace(str(next(review.store.all()).event_id), str(uuid.uuid4()))
    answer = client.post("/api/import", content=csv.encode(), headers={"content-type": "text/csv"})
    assert answer.json() == {"events": 2, "new": 1}


def test_decisions_reach_the_run_when_the_page_ends(run: RunDirectory) -> None:
    with client_of(open_review(run)) as client:
        decide(client, event(1, "pro"), event(2, "reject", layer_index=0, reasons=["cut"]))
    decisions = resolve(read_decisions(run.storage))
    assert decisions[sample_id(1)].whole is not None
    assert decisions[sample_id(2)].rejected_layers == {0}
    with client_of(open_review(run)):
        pass
    assert len([name for name in run.storage.list("decisions") if name.endswith(".parquet")]) == 1


def test_decisions_in_the_run_are_known_from_the_start(run: RunDirectory) -> None:
    append_decisions(run.storage, [on(5, 1, "pro", reviewer="eve")])
    with client_of(open_review(run)) as client:
        assert numbers_of(client, decisions=["pro"]) == [5]


def test_two_servers_on_one_run_see_each_other(run: RunDirectory) -> None:
    with client_of(open_review(run)) as one, client_of(open_review(run, "bob")) as other:
        decide(one, event(1, "keep"))
        until(lambda: numbers_of(other, decisions=["keep"]) == [1])
        decide(other, event(1, "pro"))
        until(lambda: numbers_of(one, decisions=["pro"]) == [1])


def test_a_run_that_is_still_written_grows_under_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.review.REFRESH_SECONDS", 0.0)
    run = review_run(tmp_path / "run", count=4, planned=9)
    (run.path / "chunks" / "00009.tar").write_bytes(b"half a chunk, without its record")
    with client_of(open_review(run)) as client:
        session = client.get("/api/session").json()["run"]
        assert (session["samples"], session["complete"]) == (4, False)
        query = client.post("/api/query", json={}).json()
        commit_more(run, 3, [5, 6])
        until(lambda: client.get("/api/session").json()["run"]["samples"] == 6)
        assert client.get(f"/api/query/{query['query']}/rows").json()["total"] == 4, "a result stays as it is"
        assert numbers_of(client) == [0, 1, 2, 3, 5, 6]
        decide(client, event(6, "keep"))


def test_a_run_of_which_nothing_is_made_yet_has_an_empty_page(tmp_path: Path) -> None:
    with client_of(open_review(make_run(tmp_path / "run", []))) as client:
        assert client.get("/api/session").json()["run"]["samples"] == 0
        for query in ({}, {"text": "s1"}, {"queue": "threshold"}, {"sort": [{"by": "threshold"}]}, {"layers": [1, 2]}):
            assert numbers_of(client, **query) == []
        for queue in ("undecided", "disagreement", "conflict", "audit", "calibration"):
            assert client.get(f"/api/next?queue={queue}").json() == {"samples": []}
        assert client.get("/api/agreement").json()["reviewers"] == []


def test_a_damaged_record_is_shown_once_and_the_page_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.review.REFRESH_SECONDS", 0.0)
    run = review_run(tmp_path / "run", count=4)
    review = open_review(run)
    told: list[Any] = []
    review.bus.send = lambda kind, content: told.append((kind, content))  # type: ignore[method-assign]
    with client_of(review) as client:
        (run.path / "chunks" / "00007.parquet").write_bytes(b"no record")
        until(lambda: bool(told))
        assert "00007.parquet is damaged" in told[0][1]["message"]
        (run.path / "chunks" / "00007.parquet").unlink()
        commit_more(run, 8, [20])
        until(lambda: client.get("/api/session").json()["run"]["samples"] == 5)
    assert [kind for kind, _ in told].count("problem") == 1


def test_captions_are_text(run: RunDirectory) -> None:
    write_chunk(run.storage, ChunkRevision(8), [reviewed_sample(20, NASTY)])
    with client_of(open_review(run)) as client:
        found = client.get(f"/api/sample/{sample_id(20)}")
        assert found.json()["caption"] == NASTY
        assert found.headers["content-type"] == "application/json"
        assert found.headers["x-content-type-options"] == "nosniff"
        assert numbers_of(client, text="onerror=alert(1)>") == [20]
        decide(client, event(20, "keep", caption=NASTY))
        assert client.get("/api/export?format=csv").headers["content-disposition"].startswith("attachment")


def test_pictures_that_no_browser_should_see_are_refused(run: RunDirectory) -> None:
    good = reviewed_sample(30)
    whole = good.members["whole_image.png"]
    giant = whole[:16] + (2_000_000_000).to_bytes(4, "big") * 2 + whole[24:]
    members = {**good.members, "whole_image.png": giant, "layer_00.png": b"not a picture", "json": b"{}"}
    thumbs = {**good.thumbs, "thumb_whole.webp": b"<svg onload=alert(1)>"}
    broken = type(good)(**{**vars(good), "members": members, "thumbs": thumbs})
    write_chunk(run.storage, ChunkRevision(8), [broken])
    review = open_review(run)
    version = review.library.version(review.library.row(sample_id(30)))
    with client_of(review) as client:
        for path in ("whole_image.png", "layer_00.png"):
            answer = client.get(f"/image/{version}/{sample_id(30)}/{path}")
            assert (answer.status_code, "cache-control" in answer.headers) == (422, True)
            assert answer.headers["cache-control"] == "no-store"
        assert client.get(f"/thumb/{version}/{sample_id(30)}/whole.webp").status_code == 422
        assert client.get(f"/api/sample/{sample_id(30)}").status_code == 422
        query = client.post("/api/query", json={"text": "s0000030"}).json()["query"]
        (row,) = client.get(f"/api/query/{query}/rows").json()["rows"]
        assert row["canvas"] == [0, 0]


def test_a_run_that_may_only_be_read_keeps_decisions_with_the_user(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("curation.store_place._may_write", lambda folder: run.path not in folder.parents)
    review = open_review(run)
    assert review.store.path.is_relative_to(tmp_path / "home")
    (run.path / "decisions").touch()  # a file: nothing can be written below it, not even by root
    with client_of(review) as client:
        decide(client, event(1, "keep"))
    assert "decisions cannot be written" in review.push_problem
    (run.path / "decisions").unlink()
    with client_of(open_review(run)) as client:
        assert numbers_of(client, decisions=["keep"]) == [1]
    assert len(read_decisions(run.storage)) == 1, "pushed as soon as it can be"


def test_large_requests_are_refused_while_they_come(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.requests.MOST_JSON_BYTES", 1000)
    events = [event(1, "keep", caption="x" * 100, client_id=client_id()) for _ in range(20)]
    assert client.post("/api/decisions", json={"events": events}).status_code == 413


def test_pages_are_told_what_others_decide(client: TestClient, review: Review) -> None:
    sent: list[tuple[str, Any]] = []
    send = review.bus.send
    review.bus.send = lambda kind, content: (sent.append((kind, content)), send(kind, content))[1]  # type: ignore
    decide(client, event(1, "keep"))
    kind, content = sent[-1]
    assert (kind, content["samples"][sample_id(1)]["verdict"], content["count"]) == ("decisions", "keep", 1)


def test_the_store_is_private(review: Review) -> None:
    mode = stat.S_IMODE(os.stat(review.store.path).st_mode)  # noqa: PTH116
    assert mode & 0o022 == 0
