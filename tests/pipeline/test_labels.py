"""Verdicts to calibrate by: which count as good, and what is wrong with a file, by line."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layered.errors import UserError
from ledger.run_directory import RunDirectory
from pipeline.labels import Label, labels_of_run, read_labels
from tests.ledger.runs import make_run, on, sample_id
from tests.pipeline.labelled_run import decide


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path / "run", [])


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_pro_and_keep_are_good_and_what_is_skipped_or_taken_back_says_nothing(run: RunDirectory) -> None:
    decide(
        run,
        on(0, 1, "pro"),
        on(1, 2, "keep", queue="audit", inclusion_probability=0.25),
        on(2, 3, "reject", reasons=("halo",)),
        on(3, 4, "skip"),
        on(4, 5, "reject"),
        on(4, 6, "undo"),
        on(5, 7, "reject"),
        on(5, 8, "keep"),
        on(6, 9, "reject", 1),
    )
    found = {(label.sample_id, label.layer_index): label for label in labels_of_run(run)}
    verdicts = {(int(sample[1:]), layer): label.good for (sample, layer), label in found.items()}
    assert verdicts == {(0, -1): True, (1, -1): True, (2, -1): False, (5, -1): True, (6, 1): False}
    assert (found[sample_id(1), -1].queue, found[sample_id(1), -1].inclusion_probability) == ("audit", 0.25)
    assert found[sample_id(2), -1].reasons == ("halo",)


def test_a_run_without_verdicts_says_what_to_do(run: RunDirectory) -> None:
    with pytest.raises(UserError, match="holds no verdict: review samples first, or give labels with --labels FILE"):
        labels_of_run(run)


def test_a_reason_without_a_name_and_an_impossible_probability_are_named(run: RunDirectory) -> None:
    decide(run, on(0, 1, "reject", reasons=("hallo",)))
    with pytest.raises(UserError, match=r"decision e1: the reason 'hallo' is no name .* 'halo'"):
        labels_of_run(run)
    decide(run, on(0, 2, "reject", inclusion_probability=0.0))
    with pytest.raises(UserError, match="decision e2: inclusion_probability is 0"):
        labels_of_run(run)


def test_a_csv_file_is_read_with_and_without_its_optional_columns(tmp_path: Path) -> None:
    full = write(
        tmp_path / "full.csv",
        "sample_id,layer_index,verdict,reasons,queue,inclusion_probability\n"
        "s1,,keep,,audit,0.5\ns2,3,reject,halo; blur,,\ns3,-1,skip,,,\n",
    )
    one, other = read_labels(full)
    assert one == Label("s1", -1, True, (), "audit", 0.5, f"{full}:2")
    assert other == Label("s2", 3, False, ("halo", "blur"), "", 1.0, f"{full}:3")
    short = write(tmp_path / "short.csv", "\ufeffsample_id,good\ns1,true\ns2,0\n")
    assert [label.good for label in read_labels(short)] == [True, False]


def test_a_parquet_file_is_read_too(tmp_path: Path) -> None:
    rows = [
        {"sample_id": "s1", "good": True, "reasons": [], "layer_index": 0},
        {"sample_id": "s2", "good": False, "reasons": ["halo"], "layer_index": -1},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "labels.parquet")
    one, other = read_labels(tmp_path / "labels.parquet")
    assert (one.good, one.layer_index, other.reasons) == (True, 0, ("halo",))


BAD = {
    "no such columns": ("id,good\n1,true\n", "columns id, good: sample_id and good"),
    "no label": ("sample_id,good\n", "holds no label"),
    "no verdict": ("sample_id,verdict\ns1,fine\n", r":2: the verdict is 'fine'"),
    "no truth": ("sample_id,good\ns1,maybe\n", r":2: good is 'maybe'"),
    "no sample": ("sample_id,good\n,true\n", r":2: the sample_id is missing"),
    "layer": ("sample_id,good,layer_index\ns1,true,-2\n", r":2: layer_index is -2"),
    "number": ("sample_id,good,inclusion_probability\ns1,true,much\n", r":2: inclusion_probability is 'much'"),
    "probability": ("sample_id,good,inclusion_probability\ns1,true,1.5\n", r":2: inclusion_probability is 1.5"),
    "reason": ("sample_id,good,reasons\ns1,false,holles\n", r":2: the reason 'holles' .*'holes'"),
    "contradiction": ("sample_id,good\ns1,true\ns1,false\n", r":3: sample s1 is good and bad, see .*:2"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_what_is_wrong_with_a_file_is_told_in_one_line_with_its_place(tmp_path: Path, mistake: str) -> None:
    text, message = BAD[mistake]
    with pytest.raises(UserError, match=message) as error:
        read_labels(write(tmp_path / "labels.csv", text))
    assert "\n" not in str(error.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(UserError, match=name):
            read_labels(tmp_path / name)
    with pytest.raises(UserError, match="give a CSV or Parquet file"):
        read_labels(write(tmp_path / "letter.txt", "dear reader"))
