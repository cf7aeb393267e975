"""A disk that is full, storage that falters, and a second driver: runs with the simulated generator, in one process."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from rich.console import Console

from configs import SIMULATION_CONFIG
from layered import UserError
from layered.errors import FailedWorkError
from ledger.commit import committed
from ledger.storage import LocalStorage
from pipeline.briefs import load_briefs
from pipeline.config import load_config
from pipeline.run import RunSession, new_run

SETTINGS = (
    *("plan.samples=6", "plan.chunk_layers=12", "layer_flux.batch_size=4", "executor.kind=inline"),
    *("layer_flux.simulated.seconds_per_batch=0", "layer_flux.simulated.seconds_per_layer=0"),
)


def session(out: Path) -> RunSession:
    config = load_config(SIMULATION_CONFIG, SETTINGS)
    return new_run(out, config, load_briefs(config.plan, config.seed))


def make(out: Path) -> dict[str, bytes]:
    """The chunks of a run, made or gone on with."""
    opened = session(out)
    with opened.driving():
        asyncio.run(opened.make(load_briefs(opened.config.plan, opened.config.seed), Console(quiet=True)))
    return {path.name: path.read_bytes() for path in sorted((out / "chunks").iterdir())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make(tmp_path_factory.mktemp("storage") / "run")


def falter(monkeypatch: pytest.MonkeyPatch, *errors: OSError) -> None:
    """Makes the writing of tars fail with these errors, in turn, when half of the file is written."""
    writing, remaining = LocalStorage.writing, list(errors)

    @contextmanager
    def faltering(storage: LocalStorage, name: str) -> Iterator[BinaryIO]:
        with writing(storage, name) as stream:
            yield stream
            if name.endswith(".tar") and remaining:
                stream.truncate(stream.tell() // 2)
                raise remaining.pop(0)

    monkeypatch.setattr(LocalStorage, "writing", faltering)


def test_a_full_disk_ends_the_run_with_one_line_and_the_same_command_goes_on(
    undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falter(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    out = tmp_path / "run"
    with pytest.raises(FailedWorkError, match=r"No space left on device.*make room, then the same command") as raised:
        make(out)
    assert "\n" not in str(raised.value)
    assert len(committed(LocalStorage(out))) < len(undisturbed) / 2
    assert make(out) == undisturbed


def test_storage_that_falters_is_asked_again_and_no_sample_fails(
    undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falter(monkeypatch, OSError(errno.EIO, "Input/output error"), TimeoutError(errno.ETIMEDOUT, "timed out"))
    assert make(tmp_path / "run") == undisturbed


def test_a_second_driver_is_refused_and_harms_nothing(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "run"
    first, second = session(out), session(out)
    with first.driving():
        with pytest.raises(UserError, match="is being driven by"), second.driving():
            pass
        asyncio.run(first.make(load_briefs(first.config.plan, first.config.seed), Console(quiet=True)))
    assert {path.name: path.read_bytes() for path in sorted((out / "chunks").iterdir())} == undisturbed
