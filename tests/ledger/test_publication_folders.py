from pathlib import Path

from ledger.publication import publish
from ledger.publication_folders import PublicationFolders
from shards.writer import ShardConfig
from tests.ledger.runs import ordinary_run
from tests.shards.samples import folder_bytes


def test_repair_puts_a_finished_set_in_place(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    publish(run, ShardConfig(), {})
    files = folder_bytes(run.path / "shards")
    (run.path / "shards").rename(run.path / "shards.tmp-abc")
    (run.path / "shards.trash-abc").mkdir()
    PublicationFolders(run.path).repair()
    assert folder_bytes(run.path / "shards") == files
    assert not (run.path / "shards.trash-abc").exists()
