from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layered import UserError
from ledger.decisions import append_decisions, read_decisions, resolve
from ledger.storage import LocalStorage
from tests.ledger.runs import decision


def test_decisions_survive_storage_in_the_order_they_were_made(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    late = decision(2, "reject", 3, reasons=("halo", "cut"), rating=2.5, caption="ein Bär", queue="audit")
    early = decision(1, "pro", inclusion_probability=0.05)
    append_decisions(storage, [late])
    append_decisions(storage, [early])
    assert read_decisions(storage) == [early, late]
    assert read_decisions(LocalStorage(tmp_path / "nowhere")) == []


def test_an_event_that_arrives_twice_counts_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    for _ in range(2):
        append_decisions(storage, [decision(1, "keep"), decision(2, "undo")])
    assert len(read_decisions(storage)) == 2


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda event: append_decisions(storage, [decision(event, "keep")]), range(40)))
    assert len(set(names)) == 40
    assert [made.event_id for made in read_decisions(storage)] == [f"e{event}" for event in range(40)]


@pytest.mark.parametrize(
    ("events", "holds"),
    [
        ([("keep", "ann"), ("reject", "ann")], "reject"),
        ([("keep", "ann"), ("reject", "bob")], "reject"),
        ([("keep", "ann"), ("skip", "ann")], "keep"),
        ([("keep", "ann"), ("reject", "ann"), ("undo", "ann")], "keep"),
        ([("keep", "ann"), ("reject", "ann"), ("undo", "ann"), ("undo", "ann")], None),
        ([("keep", "ann"), ("undo", "ann"), ("undo", "ann"), ("pro", "ann")], "pro"),
        ([("keep", "ann"), ("reject", "bob"), ("undo", "ann")], "reject"),
        ([("reject", "ann"), ("skip", "ann"), ("undo", "ann")], "reject"),
        ([("skip", "ann")], None),
    ],
)
def test_the_last_verdict_that_was_not_taken_back_holds(events: list[tuple[str, str]], holds: str | None) -> None:
    made = [decision(number, verdict, reviewer=reviewer) for number, (verdict, reviewer) in enumerate(events)]
    resolved = resolve(made)
    assert (resolved["s1"].whole.verdict if "s1" in resolved and resolved["s1"].whole else None) == holds
    assert holds is not None or resolved == {}


def test_layers_are_decided_apart_from_the_whole_and_from_each_other() -> None:
    made = [decision(1, "reject", 0), decision(2, "keep"), decision(3, "reject", 2), decision(4, "undo", 0)]
    resolved = resolve(made)["s1"]
    assert resolved.whole == made[1]
    assert resolved.rejected_layers == {2}


def test_an_unknown_verdict_or_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="'maybe' is none of pro, keep, reject, skip, undo"):
        decision(1, "maybe")
    with pytest.raises(ValueError, match="without a time zone"):
        decision(1, "keep", at=datetime(2026, 1, 1))


def test_a_foreign_file_among_the_decisions_is_named(tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "decisions/000001.parquet")
    with pytest.raises(UserError, match=r"000001\.parquet holds no decisions"):
        read_decisions(LocalStorage(tmp_path))
