"""The exports' benchmark: enough samples under names of their own, and numbers for each format."""

from pathlib import Path

import pytest

from benchmarks.exports import measure, repeated
from evaluation.samples import open_samples


@pytest.mark.slow
def test_samples_are_repeated_and_every_format_is_measured(tmp_path: Path) -> None:
    what = repeated(None, tmp_path, 30)
    assert what == "24 made designs of 512×512 with 5.0 layers, repeated"
    samples = open_samples(tmp_path)
    assert len(samples.sample_ids) == 30
    assert samples.sidecar("s0000025").id == "s0000025"
    (row,) = measure(tmp_path, ["psd"], samples=2, workers=1)
    assert (row.format, row.samples) == ("psd", 2)
    assert row.megabytes > 1
    assert row.memory_of_all > 50
