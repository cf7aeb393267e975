from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layered import UserError
from ledger.index import RunIndex
from ledger.publication import publish
from ledger.run_directory import RunDirectory
from ledger.verify import verify_run
from shards.writer import ShardConfig
from tests.ledger.runs import ordinary_run, sample_id
from tests.shards.samples import flip_byte


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = ordinary_run(tmp_path_factory.mktemp("verify") / "run")
    publish(run, ShardConfig(), {})
    return run


def test_an_intact_run_has_no_problems(run: RunDirectory) -> None:
    assert verify_run(run.path) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 7), st.data())
def test_any_changed_byte_of_a_sample_names_it(run: RunDirectory, number: int, data: st.DataObject) -> None:
    record = RunIndex.load(run.storage).record(sample_id(number))
    first, last = record.members[0], record.members[-1]
    position = data.draw(st.integers(first.offset - 512, last.offset + last.size - 1))
    tar = run.path / record.commit.tar
    flip_byte(tar, position)
    try:
        problems = verify_run(run.path)
    finally:
        flip_byte(tar, position)
    assert {(problem.file, problem.sample_id) for problem in problems} == {(record.commit.tar, sample_id(number))}


def test_damage_in_the_publication_is_found_as_well(run: RunDirectory) -> None:
    shard = run.path / "shards/val-00000.tar"
    flip_byte(shard, 600)
    try:
        [problem] = verify_run(run.path)
    finally:
        flip_byte(shard, 600)
    assert (problem.file, problem.sample_id) == ("shards/val-00000.tar", sample_id(4))


def test_missing_and_damaged_files_of_chunks_are_named(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    (run.path / "chunks/00000.tar").unlink()
    (run.path / "chunks/00001.parquet").write_bytes(b"PAR1")
    problems = verify_run(run.path)
    assert [(problem.file, problem.sample_id) for problem in problems] == [
        ("chunks/00000.tar", sample_id(0)),
        ("chunks/00000.tar", sample_id(1)),
        ("chunks/00000.tar", sample_id(2)),
        ("chunks/00001.parquet", ""),
    ]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        verify_run(tmp_path)
