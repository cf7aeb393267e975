"""The figures of the simulation, and its parts that go on where they were stopped."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import cluster_simulation
from benchmarks.cluster_simulation import Simulation
from benchmarks.simulated_driver import generator_figures, plan, stage_figures
from benchmarks.simulation_tables import on_paper, show
from pipeline.pools import BatchReport


def report(stage: str, worker: int, items: int, started: float, ended: float) -> BatchReport:
    return BatchReport(stage, f"{stage}-{worker}", 0, items, 0, started, ended)


REPORTS = [
    report("layer_flux", 0, 8, 10.0, 12.0),
    report("layer_flux", 0, 8, 12.0, 15.0),
    report("layer_flux", 1, 4, 11.0, 14.0),
    report("matting", 0, 20, 12.0, 13.0),
]


def test_busy_shares_fill_and_tail_are_those_of_the_timeline() -> None:
    figures = generator_figures(REPORTS, workers=2, batch_size=8)
    assert figures["pictures"] == 20
    assert figures["batch_fill"] == pytest.approx(20 / 24)
    assert figures["span_s"] == 5.0
    assert figures["pictures_per_s"] == 4.0
    assert figures["busy_share"] == pytest.approx((2 + 3 + 3) / (2 * 5))
    assert figures["tail_s"] == 1.0
    assert figures["tail_share"] == pytest.approx(1 / 10)
    assert stage_figures(REPORTS)["stage_ms_per_picture"] == {"layer_flux": 400.0, "matting": 50.0}


def test_ten_million_samples_are_in_proportion() -> None:
    result: dict[str, Any] = {
        "plan": {"samples": 100, "pictures": 700, "chunks": 10, "plan_bytes": 1000, "plan_table_bytes": 5000},
        "files": {"records": {"bytes": 2000}},
        "publish": {"peak_rss_bytes": 231 * 2**20},
    }
    small, large = on_paper(result, 100_000), on_paper(result, 200_000)
    assert small["objects"] == 20_000
    assert small["LIST requests of one listing"] == 20
    assert small["records, GB"] == pytest.approx(0.002)
    assert small["memory of publishing, GB"] == pytest.approx(1000 * 2**20 / 1e9)
    assert all(large[name] == pytest.approx(2 * value) for name, value in small.items())


def test_a_part_is_measured_once_and_shown_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[str] = []

    def drive(part: str, run: Path, overrides: list[str], until: int | None = None) -> dict[str, Any]:
        driven.append(part)
        return plan(run, overrides)

    monkeypatch.setattr(cluster_simulation, "drive", drive)
    for _ in range(2):
        simulation = Simulation(tmp_path, 30, 10, [])
        simulation.measure("plan")
    assert driven == ["plan"]
    assert simulation.measured["plan"]["samples"] == 30
    assert json.loads((tmp_path / "measured.json").read_text()) == simulation.measured
    stream = io.StringIO()
    show({"machine": "any", **simulation.measured}, Console(file=stream, width=120))
    assert "planned batch fill" in stream.getvalue()
