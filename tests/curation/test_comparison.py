from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from curation.compare_app import CompareDesk, make_compare_app
from curation.comparison import QUESTIONS, Comparison, results_json
from curation.errors import RequestError
from curation.store import Answer, DecisionStore
from layered.codec import encode_members
from layered.errors import UserError
from layered.folder import write_layered_folder
from ledger.publication import publish
from ledger.run_directory import RunDirectory
from shards.writer import ShardConfig
from tests.curation.reviews import client_id, review_run
from tests.ledger.runs import sample_id
from tests.shards.samples import make_sample

NAMES = [question.name for question in QUESTIONS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return review_run(tmp_path_factory.mktemp("comparison") / "run", count=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other designs of the same ids."""
    path = tmp_path_factory.mktemp("folder")
    for number in range(8):
        image, _ = make_sample(100 + number)
        sidecar = make_sample(number)[1].model_copy(update={"layers": make_sample(100 + number)[1].layers})
        write_layered_folder(path, sidecar.id, encode_members(image, sidecar))
    return path


def answers(pairs: dict[str, str], reviewer: str = "ann") -> list[Answer]:
    return [Answer(f"{reviewer}{pair}", "c", pair, "prompt", each, "a", reviewer) for pair, each in pairs.items()]


def test_runs_publications_and_folders_are_paired_by_id(run: RunDirectory, folder: Path) -> None:
    publish(run, ShardConfig(), {"clip_layer": 0.2})
    pairs = Comparison({"a": run.path, "b": folder}).pairs
    assert sorted(pairs) == [sample_id(number) for number in range(8)]
    published = Comparison({"a": folder, "b": run.path / "shards"}).pairs
    assert sorted(published) == [sample_id(number) for number in (0, 1, 2, 4, 5, 6)]


def test_other_ids_are_paired_by_their_brief(folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        image, sidecar = make_sample(number)
        write_layered_folder(tmp_path, f"x{number}", encode_members(image, sidecar.model_copy(update={"id": "x"})))
    assert Comparison({"a": folder, "b": tmp_path}).pairs == {
        f"b{number}": (sample_id(number), f"x{number}") for number in range(3)
    }


def test_nothing_in_common_is_refused(folder: Path, tmp_path: Path) -> None:
    image, sidecar = make_sample(50)
    write_layered_folder(tmp_path, "x", encode_members(image, sidecar))
    with pytest.raises(UserError, match="no design in common"):
        Comparison({"a": folder, "b": tmp_path})
    with pytest.raises(UserError, match="holds no designs"):
        Comparison({"a": folder, "b": tmp_path / ".."})


def test_order_and_sides_are_drawn_for_each_reviewer(run: RunDirectory, folder: Path) -> None:
    comparison = Comparison({"a": run.path, "b": folder})
    orders = [comparison.order(f"reviewer {number}") for number in range(20)]
    assert all(sorted(order) == sorted(comparison.pairs) for order in orders)
    assert len({tuple(order) for order in orders}) >= 18, "two of 20 may draw the same order by chance, hardly three"
    sides = [comparison.left_is(f"reviewer {number}", pair) for number in range(50) for pair in comparison.pairs]
    assert 0.4 < np.mean([side == "a" for side in sides]) < 0.6
    again = Comparison({"a": run.path, "b": folder})
    assert again.order("ann") == comparison.order("ann"), "a restart changes nothing"


def test_addresses_do_not_tell_the_set(run: RunDirectory, folder: Path) -> None:
    comparison = Comparison({"a": run.path, "b": folder})
    pair = comparison.order("ann")[0]
    shown = comparison.pair_json("ann", pair)
    left, right = (shown[side]["whole"].split("/") for side in ("left", "right"))
    assert len(left[2]) == len(right[2])
    assert left[2] != right[2]
    assert str(folder) not in str(shown)
    in_run, in_folder = make_sample(int(pair[1:]), 2 + int(pair[1:]) % 3)[0], make_sample(100 + int(pair[1:]))[0]
    pictures = {"a": encode_members(in_run, make_sample(0)[1]), "b": encode_members(in_folder, make_sample(0)[1])}
    on_the_left = comparison.left_is("ann", pair)
    assert comparison.image(left[2], "whole_image.png") == pictures[on_the_left]["whole_image.png"]
    for token, member in ((left[2], "json"), (left[2], "../x.png"), ("0" * 24, "whole_image.png")):
        with pytest.raises(RequestError):
            comparison.image(token, member)


def test_shares_have_wilsons_intervals_while_each_pair_is_judged_once() -> None:
    found = results_json(answers({"1": "a", "2": "a", "3": "draw", "4": "b"}))[0]
    assert (found["a"]["count"], found["draw"]["count"], found["b"]["count"], found["total"]) == (2, 1, 1, 4)
    assert found["a"]["interval"] == pytest.approx([0.150, 0.850], abs=1e-3)
    assert results_json([])[0]["a"]["share"] is None


def test_several_judges_of_one_pair_are_no_independent_witnesses() -> None:
    pairs = {str(number): "a" if number % 2 else "b" for number in range(100)}
    alone = results_json(answers(pairs))[0]["a"]["interval"]
    together = results_json([each for name in ("ann", "bob", "eve", "ida") for each in answers(pairs, name)])[0]
    low, high = together["a"]["interval"]
    assert together["reviewers"] == 4
    assert high - low == pytest.approx(alone[1] - alone[0], rel=0.2), "four times the answers, not the evidence"


@pytest.fixture
def client(run: RunDirectory, folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    desk = CompareDesk(Comparison({"a": run.path, "b": folder}), DecisionStore(tmp_path / "c.sqlite"), "ann")
    with TestClient(make_compare_app(desk, None, frozenset({"localhost"})), base_url="http://localhost") as client:
        yield client


def test_a_comparison_goes_from_the_first_pair_to_the_results(client: TestClient) -> None:
    session = client.get("/api/session").json()
    assert (session["run"], session["compare"]["total"]) == (None, 8)
    assert [question["name"] for question in session["compare"]["questions"]] == NAMES
    seen = []
    for done in range(8):
        pair = client.get("/api/compare/next").json()
        assert pair["done"] == done
        seen.append(pair["next"]["pair"])
        picture = client.get(pair["next"]["right"]["layers"][0]["image"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
        body = {"client_id": client_id(), "pair": pair["next"]["pair"], "answers": dict.fromkeys(NAMES, "left")}
        for _ in range(2):  # the second is a retry
            assert client.post("/api/compare/answers", json=body).json() == {"done": done + 1, "total": 8}
    assert len(set(seen)) == 8
    assert client.get("/api/compare/next").json()["next"] is None
    (first, *_) = client.get("/api/compare/results").json()["questions"]
    assert first["a"]["count"] + first["b"]["count"] == first["total"] == 8
    client.post("/api/session", json={"reviewer": "bob"})
    assert client.get("/api/session").json()["compare"]["done"] == 0


@pytest.mark.parametrize(
    "change", [{"pair": "s0000099"}, {"answers": {"prompt": "left"}}, {"answers": dict.fromkeys(NAMES, "a")}]
)
def test_impossible_answers_are_refused(client: TestClient, change: dict[str, object]) -> None:
    body = {"client_id": client_id(), "pair": sample_id(1), "answers": dict.fromkeys(NAMES, "draw"), **change}
    assert client.post("/api/compare/answers", json=body).status_code in (400, 404)
    assert client.get("/api/compare/results").json()["questions"][0]["total"] == 0
