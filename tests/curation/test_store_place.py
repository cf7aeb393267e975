from pathlib import Path

import pytest

from curation.store import DecisionStore
from curation.store_place import is_local, store_path, user_data_path
from layered.errors import UserError
from ledger.decisions import read_decisions
from tests.curation.reviews import review_run
from tests.curation.test_store import draft


def test_a_store_lies_in_the_run_or_with_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = review_run(tmp_path / "run", count=2)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    assert store_path(run) == run.path / "decisions" / "review.sqlite"
    DecisionStore(store_path(run)).append([draft("a")])
    assert read_decisions(run.storage) == [], "the store beside them is no file of decisions"
    monkeypatch.setattr("curation.store_place.is_local", lambda path: path != run.path)
    assert store_path(run) == tmp_path / "home" / "layerprism" / "review" / "f1.sqlite"
    monkeypatch.setattr("curation.store_place.is_local", lambda path: False)
    with pytest.raises(UserError, match="network file system"):
        user_data_path("x.sqlite")


def test_network_file_systems_are_known_by_their_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\n/dev/sdb /data/my\\040disk ext4 rw 0 0\n")
    assert is_local(Path("/home/me"), mounts)
    assert not is_local(Path("/data/run"), mounts)
    assert is_local(Path("/data/my disk/run"), mounts)
    assert is_local(Path("/anywhere"), tmp_path / "missing")
