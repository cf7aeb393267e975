"""Pictures have keys of their brief and draw; finished designs are given to the briefs that they were made for."""

from pathlib import Path

import pytest
from rich.console import Console

from evaluation.bench import open_bench
from layered import UserError
from layered.codec import encode_members
from layered.folder import write_layered_folder
from pipeline.evaluate_config import load_evaluate_config
from pipeline.evaluate_drawing import draw_all, wanted_of
from tests.pipeline.small_bench import item, small_bench, true_design, write_config


def test_each_brief_is_wanted_as_often_as_there_are_draws() -> None:
    wanted = wanted_of([item(0), item(1)], 2)
    assert [each.key for each in wanted] == ["d0-00", "d0-01", "d1-00", "d1-01"]
    assert [each.draw for each in wanted] == [0, 1, 0, 1]
    assert wanted[1].brief.id == "d0-01"
    assert wanted[1].brief.layers == item(0).brief.layers


def test_an_id_that_leaves_no_room_is_refused() -> None:
    long = item(0).model_copy(update={"brief": item(0).brief.model_copy(update={"id": "d" * 80})})
    with pytest.raises(UserError, match="id: String should match"):
        wanted_of([long], 1)


def test_finished_designs_are_found_by_id_by_number_and_by_provenance(tmp_path: Path) -> None:
    bench = small_bench(tmp_path / "bench")
    made_for = {"d0": 0, "d1-00": 1, "d1-01": 1, "d1-02": 1, "s0000007": 2, "stranger": 0}
    for sample_id, number in made_for.items():
        image, sidecar = true_design(number)
        provenance = {"brief": "d2"} if sample_id == "s0000007" else {}
        described = sidecar.model_copy(update={"id": sample_id, "provenance": provenance})
        write_layered_folder(tmp_path / "made", sample_id, encode_members(image, described))
    path = write_config(bench, {"made": {"samples": str(tmp_path / "made")}})
    config = load_evaluate_config(path, ["bench.draws=2"])
    drawn = draw_all(config, open_bench(config.bench), tmp_path / "out", Console(quiet=True))["made"]
    assert drawn.sample_of == {"d0-00": "d0", "d1-00": "d1-00", "d1-01": "d1-01", "d2-00": "s0000007"}
    assert drawn.seconds is None
