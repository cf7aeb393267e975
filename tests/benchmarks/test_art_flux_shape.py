"""The measurement for GPUs runs from end to end at a tiny shape."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_measurement_at_the_shape_of_flux_runs_at_a_tiny_one(tmp_path: Path) -> None:
    written = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.art_flux_shape", "--dry-run", "--json", str(written)]
    subprocess.run(command, check=True, capture_output=True)
    result = json.loads(written.read_text())
    assert {row["kind"] for row in result["rows"]} == {"region", "packed", "one by one", "full"}
    assert all(difference < 0.05 for difference in result["bf16_against_fp32"].values())
