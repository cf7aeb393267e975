import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from layered import UserError
from ledger.run_directory import PlannedSample, RunDirectory, fingerprint_differences
from tests.ledger.runs import FINGERPRINT, plan_bytes


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", {**FINGERPRINT, "config": {"name": "demo"}}, plan_bytes(6))


def test_a_run_is_found_again_as_it_was_made(run: RunDirectory) -> None:
    again = RunDirectory.open(run.path)
    assert (again.place, again.info) == (run.place, run.info)
    assert again.fingerprint == "f1"
    assert again.info["config"] == {"name": "demo"}
    assert again.planned_samples()[3:5] == [PlannedSample("s0000003", "train"), PlannedSample("s0000004", "val")]


def test_a_creation_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "plan.parquet").write_bytes(b"of the first try")
    (tmp_path / ".run.json.abc.tmp").write_bytes(b"{")
    run = RunDirectory.create(tmp_path, FINGERPRINT, plan_bytes(1))
    assert len(run.planned_samples()) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "run.json").unlink(), "is not a run: it has no run.json"),
        (lambda path: (path / "run.json").write_text('{"fingerprint": "f1", "conf'), "cannot be read"),
        (lambda path: (path / "run.json").write_text("[]"), "has no fingerprint"),
        (lambda path: (path / "plan.parquet").unlink(), "has lost its plan.parquet"),
    ],
)
def test_a_folder_that_is_no_whole_run_is_refused_in_one_line(run: RunDirectory, damage: Any, message: str) -> None:
    damage(run.path)
    with pytest.raises(UserError) as caught:
        RunDirectory.open(run.path)
    assert message in str(caught.value)
    assert str(run.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_or_a_file_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        RunDirectory.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write a run to"):
        RunDirectory.create(tmp_path / "file" / "below", FINGERPRINT, b"")


def test_a_damaged_plan_is_a_users_error(run: RunDirectory) -> None:
    (run.path / "plan.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"plan\.parquet cannot be read"):
        run.planned_samples()


def test_nothing_is_created_where_something_else_is(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds a run already"):
        RunDirectory.create(run.path, FINGERPRINT, b"")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    with pytest.raises(UserError, match=r"not a run and not empty \(it holds cat\.jpg\)"):
        RunDirectory.create(tmp_path / "photos", FINGERPRINT, b"")


def test_another_fingerprint_is_refused_and_the_difference_shown(run: RunDirectory) -> None:
    run.require_fingerprint("f1", FINGERPRINT["fingerprint_parts"])
    with pytest.raises(UserError) as caught:
        run.require_fingerprint("f2", {"seed": 1, "layer_flux": {"model": "tiny", "steps": 4}, "text": ("a",)})
    assert 'layer_flux.steps is 20 there, 4 here; text is unset there, ["a"] here' in str(caught.value)
    assert str(run.path) in str(caught.value)


def test_differences_are_those_between_nested_mappings() -> None:
    here = {"a": 1, "b": {"c": [1, 2], "d": 0}, "gone": None}
    asked = {"a": 1, "b": {"c": [1, 3], "d": 0}, "new": {"x": 1}}
    assert fingerprint_differences(here, asked) == [
        "b.c is [1, 2] there, [1, 3] here",
        "gone is null there, unset here",
        'new is unset there, {"x": 1} here',
    ]
    assert fingerprint_differences(here, here) == []


def test_a_larger_plan_extends_a_run_of_the_same_fingerprint(run: RunDirectory) -> None:
    extended = run.extend({**FINGERPRINT, "config": {"name": "larger"}}, plan_bytes(9))
    assert len(extended.planned_samples()) == 9
    assert RunDirectory.open(run.path).info["config"] == {"name": "larger"}
    with pytest.raises(UserError, match="is another run"):
        run.extend({"fingerprint": "f2", "fingerprint_parts": {}}, plan_bytes(99))
    assert len(run.planned_samples()) == 9


def test_a_second_driver_is_refused_until_the_first_ends_however_it_ends(run: RunDirectory) -> None:
    code = (
        "import sys, pathlib; from ledger.run_directory import RunDirectory\n"
        "with RunDirectory.open(pathlib.Path(sys.argv[1])).driving():\n"
        "    print('driving', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "driving\n"
        with pytest.raises(UserError, match=f"driven by process {other.pid}"), run.driving():
            pass
    finally:
        other.kill()
        other.wait()
    with run.driving(), pytest.raises(UserError, match="driven by process"), run.driving():
        pass


def test_run_json_is_for_people_too(run: RunDirectory) -> None:
    text = (run.path / "run.json").read_text()
    assert json.loads(text)["fingerprint"] == "f1"
    assert text.splitlines()[1].startswith("  ")
