from pathlib import Path

from ledger.storage import LocalStorage
from pipeline.pools import BatchReport
from pipeline.timings import read_timings, timings_log


def test_each_sitting_has_its_own_log_and_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    reports = [BatchReport("matting", "light-0", 3, 8, index, 1.5, 2.5) for index in range(3)]
    for sitting in (reports[:2], reports[2:], []):
        with timings_log(LocalStorage(tmp_path)) as log:
            for each in sitting:
                log.on_batch(each)
    first = tmp_path / "timings" / "0000.jsonl"
    first.write_text(first.read_text()[:-20])
    assert read_timings(LocalStorage(tmp_path)) == [reports[:1], reports[2:]]
