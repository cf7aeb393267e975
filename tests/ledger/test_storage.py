from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.storage import LocalStorage


def test_files_are_written_read_and_listed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("chunks/b", b"two")
    storage.write("chunks/a", b"one")
    storage.write("chunks/a", b"uno")
    storage.write("run.json", b"{}")
    assert storage.list("chunks") == ["chunks/a", "chunks/b"]
    assert storage.read("chunks/a") == b"uno"
    assert storage.exists("run.json")
    storage.remove("run.json")
    storage.remove("run.json")
    assert not storage.exists("run.json")
    assert storage.list("nowhere") == []


def test_the_version_changes_when_a_file_is_replaced(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a", b"one")
    version = storage.version("a")
    assert storage.version("a") == version
    storage.write("a", b"two")
    assert storage.version("a") != version


def test_a_write_that_breaks_leaves_the_former_content_and_nothing_else(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("chunks/a", b"old")

    def write_half() -> None:
        with storage.writing("chunks/a") as stream:
            stream.write(b"half of the n")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_half()
    assert storage.read("chunks/a") == b"old"
    assert [path.name for path in (tmp_path / "chunks").iterdir()] == ["a"]


def test_of_many_writers_exactly_one_creates_a_file_and_its_content_stays(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda number: storage.create("x", bytes([number]) * 1000), range(32)))
    assert created.count(True) == 1
    assert storage.read("x") == bytes([created.index(True)]) * 1000
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_writer_leaves_is_invisible_and_can_be_removed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("chunks/a", b"")
    writing = storage.writing("chunks/b")
    writing.__enter__().write(b"half")  # never left: the writer was killed
    assert storage.list("chunks") == ["chunks/a"]
    assert len(list((tmp_path / "chunks").iterdir())) == 2
    storage.remove_temporary()
    assert [path.name for path in (tmp_path / "chunks").iterdir()] == ["a"]
