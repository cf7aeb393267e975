import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from benchmarks.s3_folder import BUCKET, make_app
from benchmarks.s3_server import environment
from curation.library import Library
from ledger.object_storage import ObjectStorage
from ledger.run_directory import RunDirectory
from tests.curation.reviews import review_run


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is served as a bucket."""
    server = uvicorn.Server(uvicorn.Config(make_app(tmp_path), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with environment(f"http://127.0.0.1:{port}"):
        yield tmp_path
    server.should_exit = True
    thread.join()


def test_a_folder_is_read_and_written_as_a_bucket(folder: Path) -> None:
    (folder / "chunks").mkdir()
    (folder / "chunks/a b.tar").write_bytes(bytes(range(100)))
    storage = ObjectStorage(f"s3://{BUCKET}")
    storage.probe()
    assert storage.list("chunks") == ["chunks/a b.tar"]
    assert storage.folders("ch") == ["chunks"]
    assert storage.read_range("chunks/a b.tar", 90, 50) == bytes(range(90, 100))
    assert storage.read_range("chunks/a b.tar", 200, 50) == b""
    assert storage.read("chunks/a b.tar") == bytes(range(100))
    assert storage.size("chunks/a b.tar") == 100
    with pytest.raises(FileNotFoundError):
        storage.read("chunks/b")
    assert storage.create("new", b"1")
    assert not storage.create("new", b"2")
    assert (folder / "new").read_bytes() == b"1"


def test_the_review_page_shows_the_same_pictures_from_there(folder: Path) -> None:
    here = Library(review_run(folder), {})
    there = Library(RunDirectory.open(f"s3://{BUCKET}"), {})
    here.refresh()
    there.refresh()
    assert there.columns.ids == here.columns.ids
    assert there.planned == here.planned
    rows = range(len(here.columns))
    there.look_ahead(rows)
    for row in rows:
        name = here.columns.ids[row]
        assert there.thumbnail(there.version(row), name, "whole") == here.thumbnail(here.version(row), name, "whole")
        assert there.member(row, "layer_00.png") == here.member(row, "layer_00.png")
        assert there.sidecar(row) == here.sidecar(row)
