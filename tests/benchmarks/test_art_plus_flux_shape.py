"""The measurement for GPUs runs from end to end at a tiny shape."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_step_at_the_shape_of_flux_runs_at_a_tiny_one(tmp_path: Path) -> None:
    written = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.art_plus_flux_shape", "--dry-run", "--json", str(written)]
    subprocess.run(command, check=True, capture_output=True)
    rows = json.loads(written.read_text())["rows"]
    own = [(row["side"], row["compiled"], row["designs"]) for row in rows if row["base"] == "bfloat16"]
    assert own[:4] == [(32, False, 1), (32, False, 2), (64, False, 1), (64, False, 2)]
    assert own[4:] == [(32, True, 1), (32, True, 2), (64, True, 1), (64, True, 2)]
    assert all(row["seconds"] > 0 for row in rows)
