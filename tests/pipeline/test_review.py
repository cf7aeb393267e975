import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from curation.comparison import results_json
from curation.store import Answer
from layered.errors import UserError
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from pipeline.cli import app
from pipeline.review import ReviewOptions, compare_designs, open_review, render_comparison
from shards.reader import Publication
from tests.conftest import REPOSITORY
from tests.curation.reviews import client_of, decide, event, review_run
from tests.ledger.runs import sample_id


def with_config(path: Path, filters: dict[str, object]) -> RunDirectory:
    run = review_run(path)
    return run.replace_info({**run.info, "config": {"name": "configured", "filters": filters}})


def test_the_page_has_the_thresholds_of_the_run(tmp_path: Path) -> None:
    run = with_config(tmp_path / "run", {"clip_layer": {"threshold": 0.2}, "clip_whole": {"threshold": 0.35}})
    review = open_review(run.path, ReviewOptions(reviewer="ann"))
    assert review.columns.thresholds["clip_whole"] == 0.35
    assert review.settings.name == "configured"
    passed = {name for name, row in review.columns.rows.items() if review.columns.passed[row]}
    assert passed == {sample_id(number) for number in (5, 6, 8, 9, 10)}
    assert review.grouper is not None


def test_the_combined_score_is_there_where_the_run_has_it(tmp_path: Path) -> None:
    terms = [{"score": "clip_whole", "weight": 100.0, "center": 0.355}]
    off = {name: {"threshold": None} for name in ("clip_layer", "clip_whole")}
    run = with_config(tmp_path / "run", {**off, "combined": {"enabled": True, "terms": terms}})
    columns = open_review(run.path, ReviewOptions()).columns
    assert {name for name, row in columns.rows.items() if columns.passed[row]} == {
        sample_id(number) for number in range(6, 12)
    }
    assert 0 <= columns.worst["combined"].min() <= columns.worst["combined"].max() <= 1


def test_a_run_of_another_version_is_shown_without_thresholds(tmp_path: Path) -> None:
    run = with_config(tmp_path / "run", {"unheard_of": 1})
    assert open_review(run.path, ReviewOptions()).columns.thresholds == {}


def test_near_duplicates_are_those_that_publication_would_leave_out(tmp_path: Path) -> None:
    review = open_review(with_config(tmp_path / "run", {}).path, ReviewOptions())
    assert review.grouper is not None
    assert review.grouper(review.columns.hashes).tolist() == [0, 1, 2, 3, 4, 5] * 2


def test_wrong_input_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--queue: there is no queue"):
        open_review(review_run(tmp_path / "run", count=2).path, ReviewOptions(queue="all"))
    with pytest.raises(UserError, match="is not a run"):
        open_review(tmp_path, ReviewOptions())
    with pytest.raises(UserError, match="there is no folder"):
        compare_designs(tmp_path / "a", tmp_path / "b", ReviewOptions(), Console())


@pytest.mark.parametrize("arguments", [[], ["RUN", "--compare", "A", "B"]])
def test_the_command_wants_a_run_or_two_sets(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["review", *arguments])
    assert isinstance(result.exception, UserError)
    assert "either the folder of a RUN, or --compare A B" in str(result.exception)


def test_a_comparison_is_printed_with_its_intervals() -> None:
    answers = [Answer(f"e{number}", "c", f"p{number}", "prompt", "a", "a", "ann") for number in range(4)]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render_comparison(results_json(answers), "one", "other"))
    text = console.export_text()
    assert "100 % (51…100)" in text
    assert "–" in text, "what nobody answered"
    assert "A = one, B = other" in text


@pytest.mark.slow
def test_the_demo_goes_from_a_run_over_decisions_to_shards(tmp_path: Path) -> None:
    path = tmp_path / "run"
    quick = ["run", str(REPOSITORY / "configs" / "quick.yaml"), "--out", str(path), "--set", "plan.samples=5"]
    assert CliRunner().invoke(app, quick).exit_code == 0
    review = open_review(path, ReviewOptions(reviewer="ann"))
    layered = next(row for row, layers in enumerate(review.columns.layers) if layers > 1)
    cut = review.columns.ids[layered]
    kept = {cut, *review.columns.ids[:3]}
    with client_of(review) as client:
        for name in review.columns.ids:
            decide(client, event(name, "keep" if name in kept else "reject"))
        decide(client, event(cut, "reject", layer_index=0, reasons=["halo"]))
    original, _ = RunIndex.load(RunDirectory.open(path).storage).sample(cut)
    assert CliRunner().invoke(app, ["shard", str(path)]).exit_code == 0
    publication = Publication.open(path / "shards")
    assert set(publication.sample_ids) == kept
    image, sidecar = publication.sample(cut)
    assert np.array_equal(image.whole(), original.without([0]).whole())
    assert [layer.index for layer in sidecar.layers] == list(range(1, len(original.layers)))
    assert CliRunner().invoke(app, ["shard", str(path), "--set", "selection.verdict=pro"]).exit_code != 0
