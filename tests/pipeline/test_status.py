"""The status of a run."""

import io
import os
import socket
import time
from pathlib import Path

import pytest
from rich.console import Console

from layered.errors import UserError
from ledger.commit import ChunkRevision, write_chunk
from ledger.publication import publish
from ledger.run_directory import SHARDS_FOLDER, RunDirectory
from pipeline.live import LIVE_FILE, Live, LiveStage, LiveWorker
from pipeline.status import driver_of, render_status, run_status, status_line, watch_status
from shards.manifest import MANIFEST_FILE
from shards.writer import ShardConfig
from tests.ledger.runs import chunk_sample, failed_sample, sample_id
from tests.pipeline.small_run import FAILED, NASTY, THRESHOLDS, layer_count, small_run


def printed(path: Path) -> str:
    stream = io.StringIO()
    Console(width=200, file=stream).print(render_status(run_status(path)))
    return stream.getvalue()


def test_planned_samples_are_finished_failed_or_pending(tmp_path: Path) -> None:
    status = run_status(small_run(tmp_path / "run").path)
    assert (status.finished, status.failed, status.pending, status.planned) == (5, 1, 3, 9)
    assert (status.chunks, status.planned_chunks) == (2, 3)
    assert status.layers == sum(layer_count(number) for number in (0, 1, 2, 3, 5))
    assert (status.name, status.fingerprint) == ("small run", "f1" * 32)


def test_failures_are_counted_by_stage_with_examples(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    write_chunk(run.storage, ChunkRevision(2), [failed_sample(number) for number in (6, 7, 8)])
    (stage,) = run_status(run.path).failures
    assert (stage.stage, stage.count) == ("matting", 4)
    assert stage.examples[0] == (sample_id(FAILED), f"no object {NASTY}")
    assert [example[0] for example in stage.examples] == [sample_id(number) for number in (FAILED, 6, 7)]


def test_a_retried_sample_has_not_failed(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    write_chunk(run.storage, ChunkRevision(1, 1), [chunk_sample(FAILED)])
    status = run_status(run.path)
    assert (status.finished, status.failed, status.failures) == (6, 0, ())
    assert status.chunks == 2


def test_the_current_publication_is_told(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    assert run_status(run.path).publication is None
    published = publish(run, ShardConfig(), THRESHOLDS)
    status = run_status(run.path).publication
    assert status is not None
    assert (status.samples, status.fingerprint) == (4, published.publication.fingerprint)


def test_a_damaged_publication_does_not_hide_the_status(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    publish(run, ShardConfig(), THRESHOLDS)
    (run.path / SHARDS_FOLDER / MANIFEST_FILE).write_bytes(b"not parquet")
    status = run_status(run.path)
    assert (status.publication, status.finished) == (None, 5)


def test_a_driver_is_named_while_it_drives_and_not_longer(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    assert driver_of(run) is None
    with run.driving():
        assert driver_of(run) == os.getpid()
        assert run_status(run.path).driver == os.getpid()
        assert f"process {os.getpid()} at work" in printed(run.path)
    assert driver_of(run) is None


def test_looking_does_not_keep_a_driver_out(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    with run.driving():
        pass
    run_status(run.path)
    with run.driving():
        assert driver_of(run) == os.getpid()


def test_the_printed_status_shows_texts_as_they_are(tmp_path: Path) -> None:
    text = printed(small_run(tmp_path / "run").path)
    assert f"{sample_id(FAILED)}: no object {NASTY}" in text
    assert "5 of 9 finished, 1 failed, 3 pending" in text
    assert "2 of 3" in text
    assert "layerprism retry" in text


def test_a_folder_that_is_no_run_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        run_status(tmp_path)


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    (run.path / "plan.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"plan\.parquet cannot be read"):
        run_status(run.path)


def test_a_driver_elsewhere_is_named_with_its_machine_and_told_when_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_run(tmp_path / "run").path
    with RunDirectory.open(path).driving():
        monkeypatch.setattr(socket, "gethostname", lambda: "the laptop")
        status = run_status(path)
        assert status.host not in ("", "the laptop")
        assert f"process {os.getpid()} on {status.host} at work" in printed(path)
        later = time.time() + 3 * 3600
        monkeypatch.setattr(time, "time", lambda: later)
        assert "silent for 3.0 h; if it is dead, layerprism run goes on from here" in printed(path)


def test_what_the_driver_said_is_shown_while_it_drives(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    workers = {"layer_flux-3": LiveWorker(time.time(), "layer_flux", 2)}
    live = Live(time.time(), 0.0, 5.0, 200, 150, 12.5, {"layer_flux": LiveStage(150, 1, 16)}, workers)
    run.storage.write(LIVE_FILE, live.to_bytes())
    assert "12.5/s" not in printed(run.path)
    with RunDirectory.open(run.path).driving():
        text = printed(run.path)
        assert "150 of 200 drawn, 12.5/s (now)" in text
        assert "layer_flux-3" in text
        line = status_line(run_status(run.path))
        assert line.startswith("5 of 9 finished, 1 failed, 3 pending, 2 of 3 chunks; process")


def test_watching_goes_on_until_nobody_is_at_work(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    stream = io.StringIO()
    watch_status(run.path, 0.0, Console(file=stream, force_terminal=False))
    (line,) = stream.getvalue().splitlines()
    assert (
        line == "5 of 9 finished, 1 failed, 3 pending, 2 of 3 chunks; nobody at work; layerprism run goes on from here"
    )
