from typing import Any

import pytest

from curation.errors import RequestError
from curation.exchange import Format, read_decisions_file, write_decisions
from ledger.decisions import Decision
from tests.ledger.runs import on, sample_id

DECISIONS = [
    on(1, 1, "keep", rating=4.5, caption='a "quoted", comma\nand a line', queue="audit", inclusion_probability=0.05),
    on(2, 2, "reject", layer=3, reasons=("halo", "cut"), reviewer="Zoë"),
    on(2, 3, "undo"),
]
KNOWN = {sample_id(number) for number in range(5)}


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_decisions_come_back_as_they_went(format_: Format) -> None:
    assert read_decisions_file(write_decisions(DECISIONS, format_), format_, KNOWN) == DECISIONS
    assert read_decisions_file(write_decisions([], format_), format_, KNOWN) == []


def test_a_table_program_may_mark_its_csv() -> None:
    marked = b"\xef\xbb\xbf" + write_decisions(DECISIONS, "csv")
    assert read_decisions_file(marked, "csv", KNOWN) == DECISIONS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": "../../etc/passwd"}, "is not in this run"),
        ({"reasons": ("dull",)}, "row 1: the reason 'dull'"),
        ({"rating": float("inf")}, "rating is inf"),
        ({"inclusion_probability": 0.0}, "inclusion_probability is 0"),
        ({"layer": 1000}, "layer_index is 1000"),
        ({"reviewer": " "}, "reviewer is missing"),
    ],
)
@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_impossible_rows_are_named(format_: Format, change: dict[str, Any], message: str) -> None:
    values = {**vars(DECISIONS[0]), "layer_index": change.get("layer", -1)}
    values |= {"sample_id": change.get("sample", sample_id(1))}
    values |= {name: value for name, value in change.items() if name not in ("sample", "layer")}
    with pytest.raises(RequestError, match=message) as refused:
        read_decisions_file(write_decisions([Decision(**values)], format_), format_, KNOWN)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        ("parquet", b"PAR1 not really"),
        ("parquet", b""),
        ("csv", b"\xff\xfe\x00"),
        ("csv", b"sample_id,verdict\ns0000001,keep\n"),
        ("csv", write_decisions(DECISIONS, "csv").replace(b",keep,", b",love,")),
        ("csv", write_decisions(DECISIONS, "csv").replace(b"+00:00", b"")),
    ],
)
def test_other_files_are_refused(format_: Format, content: bytes) -> None:
    with pytest.raises(RequestError):
        read_decisions_file(content, format_, KNOWN)
