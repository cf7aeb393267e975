import logging
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from benchmarks.s3_server import S3Server, Wire, environment
from layered.errors import UserError
from ledger.object_storage import ObjectStorage
from ledger.run_directory import RunDirectory
from shards.patience import StoreSilentError


@pytest.fixture
def wire(s3_server: S3Server) -> Iterator[Wire]:
    """The way to the S3 server, with S3 clients pointed at it."""
    wire = Wire(s3_server.port)
    with environment(wire.url):
        yield wire
    wire.cut()


def test_the_probe_lets_a_store_with_conditional_writes_pass_and_leaves_nothing(bucket: str) -> None:
    storage = ObjectStorage(f"{bucket}/run")
    storage.probe()
    assert storage.folders() == []


def test_a_store_that_ignores_the_condition_is_refused_in_one_line() -> None:
    class Careless(MemoryFileSystem):
        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
            super().pipe_file(path, value)

    storage = ObjectStorage(f"memory://{secrets.token_hex(4)}/run")
    storage.fs = Careless()
    with pytest.raises(UserError, match=r"lets two writers create the same file.*If-None-Match") as refused:
        storage.probe()
    assert "\n" not in str(refused.value)


def test_a_bucket_that_is_not_there_is_told_in_one_line(s3_server: S3Server) -> None:
    with pytest.raises(UserError, match="cannot write to s3://no-such-bucket-here/run"):
        ObjectStorage("s3://no-such-bucket-here/run").probe()


def test_large_files_are_created_once_too(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = ObjectStorage(f"{bucket}/run")
    pipe_file, parts = storage.fs.pipe_file, []

    def in_parts(path: str, data: bytes, **options: Any) -> Any:
        parts.append(path)
        return pipe_file(path, data, chunksize=5 * 2**20, **options)

    monkeypatch.setattr(storage.fs, "pipe_file", in_parts)
    content = bytes(11 * 2**20)
    assert storage.create("large", content)
    assert not storage.create("large", content[:-1])
    assert len(parts) == 2
    assert storage.size("large") == len(content)


def test_a_network_that_is_cut_is_waited_for(wire: Wire, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    storage = ObjectStorage(f"{bucket}/run", patience_seconds=30)
    storage.write("x", b"before")
    wire.cut()
    mending = threading.Timer(3.0, wire.mend)
    mending.start()
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert storage.create("y", b"during")
    assert time.monotonic() - began > 2
    assert storage.read("x") == b"before"
    assert storage.read("y") == b"during"
    mending.join()
    assert "storage does not answer, waiting" in caplog.text


def test_patience_ends(wire: Wire, bucket: str) -> None:
    storage = ObjectStorage(f"{bucket}/run", patience_seconds=0.5)
    wire.cut()
    with pytest.raises(StoreSilentError, match=r"/run/x has not answered for \d+ s .*the same command goes on"):
        storage.read("x")


def test_a_create_whose_answer_was_lost_is_known_by_its_bytes(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = ObjectStorage(f"{bucket}/run")
    pipe_file, lost = storage.fs.pipe_file, []

    def answer_lost(path: str, data: bytes, **options: Any) -> Any:
        pipe_file(path, data, **options)
        if not lost:
            lost.append(path)
            raise ConnectionResetError("the answer got lost")

    monkeypatch.setattr(storage.fs, "pipe_file", answer_lost)
    assert storage.create("x", b"mine"), "the first try had arrived"
    assert len(lost) == 1
    assert not storage.create("x", b"mine"), "somebody else with the same bytes is somebody else"


def test_a_create_whose_request_was_lost_does_not_take_anothers_file_for_its_own(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = ObjectStorage(f"{bucket}/run")
    pipe_file, lost = storage.fs.pipe_file, []
    assert storage.create("y", b"theirs")

    def request_lost(path: str, data: bytes, **options: Any) -> Any:
        if not lost:
            lost.append(path)
            raise ConnectionResetError("the request got lost")
        return pipe_file(path, data, **options)

    monkeypatch.setattr(storage.fs, "pipe_file", request_lost)
    assert not storage.create("y", b"mine")
    assert len(lost) == 1
    assert storage.read("y") == b"theirs"


def test_a_run_that_may_not_be_read_is_told_in_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str, **options: Any) -> bytes:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(ObjectStorage(f"{bucket}/run").fs, "cat_file", refused)
    with pytest.raises(UserError, match=r"/run/run.json may not be read: Access Denied$"):
        RunDirectory.open(f"{bucket}/run")
