"""Whole runs in an object store: the bytes of a local one, through a network that breaks, and with disks that fail."""

import asyncio
import errno
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from art_model.dataset import DataConfig, LayeredDataset
from benchmarks.s3_server import S3Server, Wire, environment
from configs import DEMO_CONFIG
from layered.errors import FailedWorkError, UserError
from ledger import lease
from ledger.index import RunIndex
from ledger.lease import held
from ledger.object_storage import ObjectStorage
from ledger.storage import LocalStorage, open_storage
from ledger.verify import verify_run
from pipeline import cli
from pipeline.briefs import load_briefs
from pipeline.config import load_config
from pipeline.export_source import RunSamples
from pipeline.inspection import inspect
from pipeline.licences import licences_of
from pipeline.run import RunSession, new_run
from pipeline.status import run_status
from shards.patience import StoreSilentError
from shards.reader import Publication
from tests.conftest import REPOSITORY
from tests.pipeline.whole_run import QUIET, make

SIMULATED = """\
extends: {simulation}
plan: {{samples: 6, chunk_layers: 8}}
layer_flux: {{batch_size: 4, simulated: {{seconds_per_batch: 0.0, seconds_per_layer: 0.0, failure_rate: 0.0}}}}
executor: {{kind: inline}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six samples in several chunks by the simulated generator."""
    path = tmp_path_factory.mktemp("config") / "simulated.yaml"
    path.write_text(SIMULATED.format(simulation=DEMO_CONFIG.with_name("simulation.yaml")))
    return path


@pytest.fixture(scope="module")
def local(config: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSession:
    """The same run on the local disk, given as a URL."""
    return make(config, f"file://{tmp_path_factory.mktemp('local')}/run")


@pytest.fixture
def wire(s3_server: S3Server) -> Iterator[Wire]:
    wire = Wire(s3_server.port)
    with environment(wire.url):
        yield wire
    wire.cut()


def checksums(session: RunSession) -> bytes:
    return Publication.open(f"{session.run.place}/shards").files.read("checksums")


def test_a_run_in_s3_publishes_the_bytes_of_a_local_one_and_every_reader_takes_its_url(
    config: Path, local: RunSession, bucket: str, tmp_path: Path
) -> None:
    session = make(config, f"{bucket}/runs/one")
    place = session.run.place
    assert checksums(session) == checksums(local)
    assert verify_run(place) == []
    status = run_status(place)
    assert (status.finished, status.planned, status.driver) == (6, 6, None)
    assert status.publication is not None
    assert status.publication.samples == 6
    assert inspect(place).total == inspect(f"{place}/shards").total == 6
    assert licences_of(place).samples == 6
    assert len(RunSamples(place).sample_ids) == 6
    streamed = [
        [image.whole().tobytes() for _, image, _ in LayeredDataset.open(DataConfig(publication=where)).stream()]
        for where in (place, f"{place}/shards", str(local.run.path))
    ]
    assert len(streamed[0]) > 0
    assert streamed[0] == streamed[1] == streamed[2]
    dataset = LayeredDataset.open(DataConfig(publication=place))
    assert dataset.sample(dataset.records[0].sample_id)[0].whole().tobytes() == streamed[0][0]
    assert session.run.storage.exists("report/index.html")
    again = make(config, place)
    assert checksums(again) == checksums(local)


def test_ray_workers_commit_to_s3(config: Path, local: RunSession, bucket: str, ray_session: Any) -> None:
    session = make(config, f"{bucket}/run", "executor.kind=ray", "executor.workers=2", "executor.num_cpus=null")
    assert checksums(session) == checksums(local)


def cut_for(seconds: float, config: Path, local: RunSession, wire: Wire, bucket: str, *overrides: str) -> None:
    """Makes a run while the network is away for some time, from its first chunk on."""
    mending = threading.Timer(seconds, wire.mend)

    def cut() -> None:
        wire.cut()
        mending.start()

    wire.when(b"/run/chunks/", cut)
    began = time.monotonic()
    session = make(config, f"{bucket}/run", "storage.patience_seconds=120", *overrides)
    assert time.monotonic() - began > seconds
    mending.join()
    assert checksums(session) == checksums(local)
    assert verify_run(session.run.place) == []


def test_a_network_that_is_cut_is_waited_for(
    config: Path, local: RunSession, wire: Wire, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        cut_for(3.0, config, local, wire, bucket)
    assert "storage does not answer, waiting" in caplog.text


@pytest.mark.slow
def test_a_network_that_is_cut_for_half_a_minute_is_waited_for(
    config: Path, local: RunSession, wire: Wire, bucket: str
) -> None:
    cut_for(30.0, config, local, wire, bucket)


@pytest.mark.slow
def test_ray_workers_wait_for_a_network_that_is_cut_for_half_a_minute(
    config: Path, local: RunSession, wire: Wire, bucket: str, ray_session: Any
) -> None:
    ray = ("executor.kind=ray", "executor.workers=2", "executor.num_cpus=null")
    cut_for(30.0, config, local, wire, bucket, *ray)


def test_a_store_that_stays_away_ends_the_run_with_one_line_and_the_same_command_goes_on(
    config: Path, local: RunSession, wire: Wire, bucket: str
) -> None:
    write = ObjectStorage.write

    def cut_late(self: ObjectStorage, name: str, data: bytes, durable: bool = True) -> None:
        if name.startswith("report/"):
            wire.cut()
        write(self, name, data, durable)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectStorage, "write", cut_late)
        with pytest.raises(StoreSilentError, match=r"has not answered for .* the same command goes on"):
            make(config, f"{bucket}/run", "storage.patience_seconds=0.5")
    wire.mend()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "is_dead_here", lambda driver: True)  # it could not say that it ended
        assert checksums(make(config, f"{bucket}/run")) == checksums(local)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_ends_the_run_with_one_line_and_the_same_command_goes_on(
    number: int, config: Path, local: RunSession, tmp_path: Path
) -> None:
    full = []
    create = LocalStorage.create

    def fails_at_the_third_chunk(self: LocalStorage, name: str, data: bytes) -> bool:
        full.extend([name] if name.startswith("chunks/") else [])
        if len(full) > 2:
            raise OSError(number, "no more")
        return create(self, name, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStorage, "create", fails_at_the_third_chunk)
        with pytest.raises(
            FailedWorkError,
            match=r"^[^\n]*(could not be written|make room).*[Tt]he same command goes on",
        ):
            make(config, tmp_path / "run")
    assert run_status(tmp_path / "run").chunks == 2
    assert checksums(make(config, tmp_path / "run")) == checksums(local)


def test_a_disk_that_is_full_while_publishing_is_one_line_and_exit_code_1(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "run/shards.tmp/train-00000.tar"))

    make(config, tmp_path / "run")
    monkeypatch.setattr("ledger.publication.write_publication", full)
    monkeypatch.setattr("sys.argv", ["layerprism", "shard", str(tmp_path / "run"), "--set", "shards.title=Other"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "train-00000.tar: No space left on device" in told
    assert "the same command goes on" in told


def test_two_drivers_on_one_run_in_s3_the_second_is_refused(config: Path, bucket: str) -> None:
    loaded = load_config(config)
    session = new_run(f"{bucket}/run", loaded, load_briefs(loaded.plan, loaded.seed))
    with session.driving():
        assert run_status(session.run.place).driver is not None
    with (
        held(open_storage(session.run.place), beat_seconds=0.1),
        pytest.raises(UserError, match=r"is being driven by process \d+ on .* since 20"),
        session.driving(),
    ):
        pass


def test_a_driver_whose_run_was_taken_over_stops_and_publishes_nothing(
    config: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_CHECK_HOLDS_SECONDS", 0.0)
    loaded = load_config(config)
    briefs = load_briefs(loaded.plan, loaded.seed)
    session = new_run(f"{bucket}/run", loaded, briefs)
    taken = []
    create = ObjectStorage.create

    def create_and_lose(self: ObjectStorage, name: str, data: bytes) -> bool:
        made = create(self, name, data)
        if name.startswith("chunks/") and not taken:
            taken.append(name)
            monkeypatch.setattr(ObjectStorage, "create", create)
            with held(open_storage(session.run.place), lambda _: True):
                pass
        return made

    monkeypatch.setattr(ObjectStorage, "create", create_and_lose)
    with session.driving(), pytest.raises(FailedWorkError, match="taken over by process"):
        asyncio.run(session.make(briefs, QUIET))
    assert len(RunIndex.load(open_storage(session.run.place)).sample_ids) < 6
    assert run_status(session.run.place).publication is None


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_a_run_in_s3_that_the_same_command_finishes(
    config: Path, local: RunSession, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    program = [sys.executable, "-c", "from pipeline.cli import main; main()"]
    slowed = ["--set", "layer_flux.simulated.seconds_per_batch=0.5"]
    command = [*program, "run", str(config), "--out", f"{bucket}/run", *slowed]
    killed = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    storage = open_storage(f"{bucket}/run")
    deadline = time.monotonic() + 120
    while not any(name.endswith(".parquet") for name in storage.list("chunks")):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    assert 0 < len(RunIndex.load(storage)) < 6
    assert run_status(f"{bucket}/run").driver is None, "its process is gone, and this machine knows"
    assert checksums(make(config, f"{bucket}/run")) == checksums(local)
    assert "watching" not in caplog.text
