"""Hundreds of random faults, and nothing is lost, doubled or changed.

`benchmarks.chaos` brings the faults about and checks what it promises after each round; here it is made to do so, in a
process of its own, because a second Ray in this one would break the first.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

FAULTS = int(os.environ.get("LAYERPRISM_CHAOS_FAULTS", "200"))
SEED = int(os.environ.get("LAYERPRISM_CHAOS_SEED", "0"))


def storm(folder: Path, *arguments: str) -> dict[str, Any]:
    """The numbers of a storm that broke no promise."""
    results = folder / "chaos.json"
    command = [sys.executable, "-m", "benchmarks.chaos", "--folder", str(folder / "rounds"), "--json", str(results)]
    done = subprocess.run([*command, *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    numbers: dict[str, Any] = json.loads(results.read_text())
    return numbers


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_published_bytes_are_the_same_after_hundreds_of_faults(tmp_path: Path) -> None:
    numbers = storm(tmp_path, "--faults", str(FAULTS), "--seed", str(SEED))["simulated"]
    assert numbers["faults_in_all"] >= FAULTS
    assert len(numbers["faults"]) >= 10 or FAULTS < 100
    most = numbers["workers"] * numbers["pictures_of_a_chunk"]
    assert numbers["largest_drawn_again_per_fault_in_a_round"] <= most


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_embedded_model_draws_the_same_bytes_through_faults_that_change_no_batch(tmp_path: Path) -> None:
    arguments = ("--model", "layerprism-tiny", "--samples", "12", "--faults", "12", "--per-round", "12")
    numbers = storm(tmp_path, *arguments, "--seed", str(SEED))["layerprism-tiny"]
    assert numbers["faults_in_all"] >= 6
