"""From a trial to a forecast to the truth; wrong sources are refused with the difference."""

import io
import json
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from layered import UserError
from ledger.run_directory import RunDirectory
from pipeline.briefs import BriefList, load_briefs
from pipeline.cli import main
from pipeline.config import load_config
from pipeline.estimate import ESTIMATE_FILE, Estimate, stored_estimate
from pipeline.estimate_view import compare, render_estimate
from pipeline.forecast import TimeLeft, forecast_run, time_left, truth_of
from pipeline.measurement import read_measurement, write_measurement
from pipeline.phases import Phase, record_phase
from pipeline.run import new_run, read_plan
from pipeline.status import render_status, run_status
from pipeline.top_up import selection_by_filters
from pipeline.trial import trial_plan
from tests.pipeline.estimated_run import estimated, write_config
from tests.pipeline.whole_run import make


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def measured(config: Path) -> Path:
    """A measurement by a trial of eight batches."""
    path = config.with_name("measured.json")
    write_measurement(path, estimated(load_config(config)).measurement)
    return path


@pytest.fixture(scope="module")
def run(config: Path, measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run that began with that forecast."""
    out = tmp_path_factory.mktemp("runs") / "run"
    make(config, out, f"estimate.measured={measured}")
    return out


def test_a_trial_makes_the_plans_own_samples_from_all_over_it(config: Path) -> None:
    loaded = load_config(config)
    told = estimated(loaded)
    trial = trial_plan(told.plan, loaded, _briefs(config), 8)
    rows = {row["sample_id"]: row for row in told.plan.table.to_pylist()}
    for row in trial.table.to_pylist():
        planned = rows[row["sample_id"]]
        assert (row["brief"], row["seed"]) == (planned["brief"], planned["seed"])
        assert [draw["seed"] for draw in row["draws"]] == [draw["seed"] for draw in planned["draws"]]
    indices = trial.table["index"].to_pylist()
    assert indices[0] == 0
    assert indices[-1] == 39
    assert 7 * 8 <= sum(trial.draws_per_chunk()) <= 10 * 8
    assert told.measurement.samples == len(trial)


def test_what_does_not_hang_on_the_clock_is_foretold(config: Path, run: Path) -> None:
    forecast = stored_estimate(RunDirectory.open(run))
    assert forecast is not None
    truth = truth_of(RunDirectory.open(run), load_config(config), set(_published(config, run)))
    assert forecast.quantities["pictures"].mid == truth["pictures"]
    assert truth["storage_bytes"] == pytest.approx(forecast.quantities["storage_bytes"].mid, rel=0.15)
    accepted = forecast.quantities["accepted"]
    assert accepted.low is not None
    assert accepted.high is not None
    assert accepted.low <= truth["accepted"] <= accepted.high
    assert truth["price"] > truth["worker_hours"] * 36
    assert {row.name for row in compare(forecast, truth)} >= {"wall time", "storage", "money", "accepted samples"}


def test_the_report_shows_forecast_and_truth(run: Path) -> None:
    page = (run / "report" / "index.html").read_text()
    assert "What was expected" in page
    assert "accepted samples" in page


def test_a_finished_run_is_a_measurement_too(config: Path, run: Path) -> None:
    told = estimated(load_config(config), source=str(run))
    assert told.measurement.samples == 40
    assert told.measurement.accepted == len(_published(config, run))
    assert told.estimate.quantities["storage_bytes"].mid == pytest.approx(
        truth_of(RunDirectory.open(run), load_config(config), set(_published(config, run)))["storage_bytes"], rel=0.1
    )


def test_a_run_is_judged_by_the_thresholds_of_now(config: Path, run: Path) -> None:
    lower = load_config(config, ["filters.composition_box.threshold=0.1"])
    assert estimated(lower, source=str(run)).measurement.accepted == 40


def test_a_longer_plan_takes_longer_and_its_samples_cost_as_much(config: Path, measured: Path) -> None:
    short, long = (
        estimated(load_config(config, [f"plan.samples={samples}"]), source=str(measured), began=time.time()).estimate
        for samples in (40, 4000)
    )
    assert short.quantities["storage_bytes"].mid is not None
    assert long.quantities["storage_bytes"].mid == pytest.approx(100 * short.quantities["storage_bytes"].mid, rel=0.1)
    assert long.seconds_of["making"] == pytest.approx(100 * short.seconds_of["making"], rel=0.15)


def test_enough_accepted_samples_take_more_samples(config: Path, measured: Path) -> None:
    overrides = ["plan.samples=null", "plan.accepted=100", "plan.samples_at_most=100000"]
    told = estimated(load_config(config, overrides), source=str(measured))
    rate = told.measurement.accepted / told.measurement.samples
    assert told.estimate.samples.mid == pytest.approx(100 / rate, rel=0.15)
    assert told.estimate.quantities["accepted"].mid == pytest.approx(100, rel=0.1)


def test_losses_and_replacements_cost_time(config: Path, measured: Path) -> None:
    overrides = ["plan.samples=4000", "estimate.losses_per_hour=600", "estimate.replacement_seconds=5"]
    calm = estimated(load_config(config, overrides[:1]), source=str(measured)).estimate.seconds_of["making"]
    lossy = estimated(load_config(config, overrides), source=str(measured)).estimate.seconds_of["making"]
    # A loss every six seconds of work costs five seconds and half a chunk.
    assert lossy > 1.5 * calm


def test_another_model_or_threshold_is_refused_with_the_difference(config: Path, measured: Path, run: Path) -> None:
    with pytest.raises(UserError, match=r"measured something else: filters\.composition_box\.threshold is 0\.72 there"):
        estimated(load_config(config, ["filters.composition_box.threshold=0.5"]), source=str(measured))
    with pytest.raises(UserError, match=r"matting\.min_side is 1 there, 2 here"):
        estimated(load_config(config, ["matting.min_side=2"]), source=str(measured))
    with pytest.raises(UserError, match=r"layer_flux\.attempts is 1 there, 3 here"):
        estimated(load_config(config, ["layer_flux.attempts=3"]), source=str(run))
    with pytest.raises(UserError, match=r"matting\.min_side"):
        make(config, run.with_name("other"), f"estimate.measured={measured}", "matting.min_side=2")
    assert not run.with_name("other").exists()


def test_a_source_that_is_none_is_told(tmp_path: Path, config: Path) -> None:
    loaded = load_config(config)
    with pytest.raises(UserError, match=r"there is no measurement .*gone\.json"):
        estimated(loaded, source=str(tmp_path / "gone.json"))
    (tmp_path / "other.json").write_text('{"layerprism_measurement": 1, "parts": {}}')
    with pytest.raises(UserError, match=r"other\.json is no measurement: .*briefs"):
        estimated(loaded, source=str(tmp_path / "other.json"))
    with pytest.raises(UserError, match="is not a folder"):
        estimated(loaded, source=str(tmp_path / "norun"))


def test_where_nothing_is_accepted_the_cost_is_unknown(config: Path) -> None:
    told = estimated(load_config(config, ["filters.composition_box.threshold=1.5"]))
    assert told.measurement.accepted == 0
    each = told.estimate.per_accepted["price"]
    assert each.low is not None
    assert each.low > 0
    assert each.mid is None
    assert each.high is None
    assert "none of" in told.estimate.notes[0]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render_estimate(told.estimate))
    assert "unknown" in console.export_text()


def test_a_gpu_needs_a_price_and_a_process_that_has_one(config: Path, measured: Path) -> None:
    with pytest.raises(UserError, match=r"gpu 'h10' has no price in prices\.gpu_hour; did you mean 'h100'\?"):
        load_config(config, ["estimate={gpu: h10, prices: {gpu_hour: {h100: 2.5, l4: 0.7}}}"])
    with pytest.raises(UserError, match=r"'h100' has no price in prices\.spot_gpu_hour; priced there: nothing"):
        load_config(config, ["estimate={gpu: h100, spot: true, prices: {gpu_hour: {h100: 2.5}}}"])
    unused = load_config(config, ["estimate={gpu: h100, prices: {gpu_hour: {h100: 2.5}}}"])
    with pytest.raises(UserError, match=r"executor\.gpus_per_worker is 0"):
        estimated(unused, source=str(measured))
    shared = load_config(
        config,
        [
            "estimate={gpu: h100, prices: {gpu_hour: {h100: 2.5}, storage_gb_month: null}}",
            "executor.gpus_per_worker=0.5",
        ],
    )
    quantities = estimated(shared, source=str(measured)).estimate.quantities
    assert quantities["gpu_hours"].mid is not None
    assert quantities["price"].mid is not None
    assert quantities["price"].mid == pytest.approx(2.5 * quantities["gpu_hours"].mid)


def test_the_forecast_stays_with_the_run_and_follows_its_plan(config: Path, measured: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    make(config, out, "plan.samples=6", f"estimate.measured={measured}")
    first = (out / ESTIMATE_FILE).read_bytes()
    make(config, out, "plan.samples=6", f"estimate.measured={measured}")
    assert (out / ESTIMATE_FILE).read_bytes() == first
    make(config, out, "plan.samples=12", f"estimate.measured={measured}")
    assert json.loads((out / ESTIMATE_FILE).read_bytes())["planned"] == 12


def test_the_time_left_follows_the_pace_of_this_sitting(run: Path) -> None:
    opened = RunDirectory.open(run)
    forecast = stored_estimate(opened)
    assert forecast is not None
    assert time_left(opened, 0, 10) is None
    record_phase(opened.storage, Phase("starting", 1000.0, 1010.0, pending=8))
    left = time_left(opened, 8, 10, now=1100.0)
    assert left is not None
    assert left.source == "forecast"
    assert left.seconds == pytest.approx(0.8 * forecast.seconds_of["making"])
    assert time_left(opened, 6, 10, now=1110.0) == TimeLeft(300.0, "pace")


def test_the_status_of_a_driven_run_tells_the_time_left(config: Path, measured: Path, tmp_path: Path) -> None:
    loaded = load_config(config, [f"estimate.measured={measured}"])
    briefs = load_briefs(loaded.plan, loaded.seed)
    session = new_run(tmp_path / "run", loaded, briefs)
    forecast_run(session.run, read_plan(session.run), loaded)
    assert run_status(tmp_path / "run").left is None
    with session.driving():
        status = run_status(tmp_path / "run")
    assert status.left is not None
    assert status.left.source == "forecast"
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render_status(status))
    assert "until all chunks are there, as estimated before the run" in console.export_text()


def test_the_commands_estimate_keep_and_plan_with_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def layerprism(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["layerprism", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out + captured.err

    kept, as_json = tmp_path / "kept.json", tmp_path / "estimate.json"
    code, printed = layerprism("estimate", config, "--batches", 4, "--save", kept, "--json", as_json)
    assert (code, "accepted samples" in printed, "GPU hours" in printed) == (0, True, False)
    assert Estimate.model_validate_json(as_json.read_bytes()).planned == 40
    code, printed = layerprism("plan", config, "--set", f"estimate.measured={kept}")
    assert (code, "per accepted sample" in printed) == (0, True)
    code, printed = layerprism("plan", config, "--set", "estimate.measured=none.json")
    assert code == 2
    assert printed.startswith("error: there is no measurement none.json")


def test_a_measurement_keeps_all_it_tells(measured: Path, tmp_path: Path) -> None:
    measurement = read_measurement(measured)
    write_measurement(tmp_path / "again" / "measured.json", measurement)
    assert read_measurement(tmp_path / "again" / "measured.json") == measurement
    assert set(measurement.batches) >= {"layer_flux", "matting", "filtering", "packing", "committing"}
    assert all(seconds > 0 for batches in measurement.batches.values() for _, seconds in batches)


def _briefs(config: Path) -> BriefList:
    loaded = load_config(config)
    return load_briefs(loaded.plan, loaded.seed)


def _published(config: Path, run: Path) -> list[str]:
    selection = selection_by_filters(RunDirectory.open(run), load_config(config))
    return [selected.sample_id for selected in selection.published]
