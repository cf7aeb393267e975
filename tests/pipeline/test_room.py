import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from configs import SIMULATION_CONFIG
from layered import UserError
from pipeline.config import RunConfig, load_config
from pipeline.room import check_room


def config(*overrides: str) -> RunConfig:
    return load_config(
        SIMULATION_CONFIG, ["layer_flux.layer_sizes=[[1024,1024]]", "layer_flux.base_sizes=[[1024,1024]]", *overrides]
    )


def test_a_disk_that_could_never_hold_the_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**9))
    with pytest.raises(UserError, match=r"has 1\.0 GB left, and this run needs more than 2\.1 GB there"):
        check_room(tmp_path, {0: 50_000, 1: 50_000}, config())
    check_room(tmp_path, {0: 10_000}, config())
    check_room("s3://bucket/run", {0: 50_000, 1: 50_000}, config())


def test_chunks_in_flight_that_overflow_shared_memory_are_told_beforehand(tmp_path: Path) -> None:
    assert check_room(tmp_path, {0: 8}, config("executor.chunks_in_flight=2", "executor.object_store_mb=200")) == ""
    line = check_room(tmp_path, {0: 8, 1: 128}, config("executor.chunks_in_flight=2", "executor.object_store_mb=200"))
    assert "take up to 2,560 MiB, and the object store has 200" in line
    assert check_room(tmp_path, {0: 128}, config("executor.kind=inline")) == ""
