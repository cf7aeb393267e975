import pickle
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.object_storage import ObjectStorage
from ledger.storage import LocalStorage, Storage, open_storage


@pytest.fixture(params=["local", "file", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty place of each kind: all of them keep the same promises."""
    places = {
        "local": lambda: tmp_path / "run",
        "file": lambda: f"file://{tmp_path}/run",
        "memory": lambda: f"memory://{secrets.token_hex(4)}/run",
        "s3": lambda: f"{request.getfixturevalue('bucket')}/some/run",
    }
    return open_storage(places[request.param]())


def test_files_are_written_read_and_listed(storage: Storage) -> None:
    storage.write("chunks/b", b"two")
    storage.write("chunks/a", b"one")
    storage.write("chunks/a", b"uno", durable=False)
    storage.write("run.json", b"{}")
    assert storage.list("chunks") == ["chunks/a", "chunks/b"]
    assert storage.list("") == ["run.json"]
    assert storage.folders() == ["chunks"]
    assert storage.folders("ch") == ["chunks"]
    assert storage.folders("x") == []
    assert storage.read("chunks/a") == b"uno"
    assert storage.size("chunks/a") == 3
    assert storage.exists("run.json")
    storage.remove("run.json")
    storage.remove("run.json")
    assert not storage.exists("run.json")
    assert storage.list("nowhere") == []
    storage.remove_folder("chunks")
    storage.remove_folder("chunks")
    assert storage.folders() == []


def test_a_file_is_read_at_any_position(storage: Storage) -> None:
    storage.write("x", bytes(range(100)))
    for read_ahead in (0, 16):
        with storage.open("x", read_ahead) as stream:
            stream.seek(10)
            assert stream.read(5) == bytes(range(10, 15))
            assert stream.tell() == 15
            stream.seek(-3, 2)
            assert stream.read() == bytes([97, 98, 99])
            assert stream.read(1) == b""
            stream.seek(95)
            assert stream.read(50) == bytes(range(95, 100))
            stream.seek(200)
            assert stream.read(10) == b""
    storage.write("empty", b"")
    assert storage.read("empty") == b""


def test_what_is_missing_is_not_found(storage: Storage) -> None:
    storage.write("x", b"")
    for look in (storage.read, storage.version, storage.size, lambda name: storage.open(name).read(1)):
        with pytest.raises(FileNotFoundError):
            look("y")


def test_the_version_changes_when_a_file_is_replaced(storage: Storage) -> None:
    storage.write("folder/a", b"one")
    version = storage.version("folder/a")
    assert storage.version("folder/a") == version
    entry = storage.entries("folder")["folder/a"]
    assert (entry.version, entry.size) == (version, 3)
    storage.write("folder/a", b"two")
    assert storage.version("folder/a") != version


def test_a_write_that_breaks_leaves_the_former_content_and_nothing_else(storage: Storage) -> None:
    storage.write("chunks/a", b"old")

    def write_half() -> None:
        with storage.writing("chunks/a") as stream:
            stream.write(b"half of the n")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_half()
    assert storage.read("chunks/a") == b"old"
    assert storage.list("chunks") == ["chunks/a"]
    with storage.writing("chunks/a") as stream:
        stream.write(b"all of the new")
    assert storage.read("chunks/a") == b"all of the new"


def test_of_many_writers_exactly_one_creates_a_file_and_its_content_stays(storage: Storage) -> None:
    for race in range(3):
        name = f"driver/{race}"
        with ThreadPoolExecutor(8) as pool:
            created = list(pool.map(lambda number, name=name: storage.create(name, bytes([number]) * 1000), range(16)))
        assert created.count(True) == 1
        assert storage.read(name) == bytes([created.index(True)]) * 1000


def test_storage_travels_to_another_process(storage: Storage) -> None:
    storage.write("x", b"here")
    assert pickle.loads(pickle.dumps(storage)).read("x") == b"here"


def test_a_local_file_is_uploaded(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"shard")
    storage.upload(tmp_path / "local", "shards/x.tar")
    assert storage.read("shards/x.tar") == b"shard"


def test_places_of_the_local_disk_are_local(tmp_path: Path) -> None:
    for place in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        opened = open_storage(place)
        assert isinstance(opened, LocalStorage)
        assert opened.root == tmp_path
    assert isinstance(open_storage("memory://x"), ObjectStorage)


def test_what_a_killed_writer_leaves_on_disk_is_invisible_and_can_be_removed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("chunks/a", b"")
    writing = storage.writing("chunks/b")
    writing.__enter__().write(b"half")  # never left: the writer was killed
    assert storage.list("chunks") == ["chunks/a"]
    assert len(list((tmp_path / "chunks").iterdir())) == 2
    storage.remove_temporary()
    assert [path.name for path in (tmp_path / "chunks").iterdir()] == ["a"]
