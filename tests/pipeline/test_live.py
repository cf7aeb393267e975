"""What a driver tells of itself through the run's storage, and how it is shown."""

import io
import json
from pathlib import Path

from rich.console import Console

from ledger.storage import LocalStorage, open_storage
from pipeline.live import LIVE_FILE, Live, LiveFile, LiveStage, LiveWorker, read_live
from pipeline.live_view import live_line, render_live, watch
from pipeline.pools import BatchReport
from pipeline.progress import RunProgress


def live(**changes: object) -> Live:
    values: dict[str, object] = {
        "at": 1000.0,
        "began": 900.0,
        "every_seconds": 5.0,
        "planned": 2000,
        "drawn": 1500,
        "per_second": 12.5,
        "stages": {"layer_flux": LiveStage(1500, 2, 32), "matting": LiveStage()},
        "workers": {
            "layer_flux-0": LiveWorker(999.0, "layer_flux", 7),
            "layer_flux-1": LiveWorker(400.0, "matting", 3),
        },
    }
    return Live(**{**values, **changes})  # type: ignore[arg-type]


def progress() -> RunProgress:
    return RunProgress(Console(file=io.StringIO()), {0: 10, 1: 10}, "layer_flux", "layers")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write(LIVE_FILE, live().to_bytes())
    assert read_live(storage) == live()


def test_nothing_and_nonsense_are_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert read_live(storage) is None
    for nonsense in (b"", b"[1]", b"{}", b'{"stages": 3, "workers": {}}'):
        storage.write(LIVE_FILE, nonsense)
        assert read_live(storage) is None


def test_a_run_at_work_counts_items_failures_and_workers(tmp_path: Path) -> None:
    counted = progress()
    with LiveFile(LocalStorage(tmp_path), counted, every_seconds=1000) as file:
        file.on_asked("layer_flux", 10)
        for chunk, items in ((0, 4), (0, 8)):  # two of these are drawn again
            report = BatchReport("layer_flux", "layer_flux-3", chunk, items, 1, 50.0, 51.0)
            counted.on_batch(report)
            file.on_batch(report)
        file.on_asked("layer_flux", -4)
    found = read_live(LocalStorage(tmp_path))
    assert found is not None
    assert (found.drawn, found.planned) == (10, 20)
    assert found.stages == {"layer_flux": LiveStage(12, 2, 6)}
    assert found.workers == {"layer_flux-3": LiveWorker(51.0, "layer_flux", 0)}
    assert found.per_second > 0


def test_it_is_read_from_a_bucket_by_whoever_reaches_that(bucket: str) -> None:
    with LiveFile(open_storage(f"{bucket}/run"), progress(), every_seconds=1000) as file:
        file.on_asked("matting", 3)
    found = read_live(open_storage(f"{bucket}/run"))
    assert found is not None
    assert found.stages == {"matting": LiveStage(0, 0, 3)}


def test_a_storage_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / LIVE_FILE).mkdir()  # nothing can be written there
    with LiveFile(LocalStorage(tmp_path), progress(), every_seconds=1000) as file:
        file.on_asked("layer_flux", 1)
    assert (tmp_path / LIVE_FILE).is_dir()


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    assert json.loads(live().to_bytes())["workers"]["layer_flux-0"]["chunk"] == 7


def printed(shown: object) -> str:
    stream = io.StringIO()
    Console(width=120, file=stream).print(shown)
    return stream.getvalue()


def test_idle_stages_are_left_out_and_the_worker_silent_for_longest_comes_first() -> None:
    text = printed(render_live(live(), now=1001.0))
    assert "layer_flux-1" in text
    assert text.index("layer_flux-1") < text.index("layer_flux-0")
    assert "10.0 min ago" in text
    assert "matting, chunk 3" in text
    assert "1,500" in text
    assert not any(line.startswith("matting") for line in text.splitlines())


def test_of_very_many_workers_some_are_shown() -> None:
    workers = {f"layer_flux-{number}": LiveWorker(float(number), "layer_flux", 0) for number in range(40)}
    text = printed(render_live(live(workers=workers), now=1000.0))
    assert "and 24 more" in text
    assert "layer_flux-0 " in text


def test_one_line_says_how_old_it_is() -> None:
    assert live_line(live(), now=1000.5) == "1,500 of 2,000 drawn, 12.5/s (now)"
    assert live_line(live(), now=1030.0) == "1,500 of 2,000 drawn, 12.5/s (30 s ago)"


def test_watching_ends_when_nothing_more_is_to_come() -> None:
    stream = io.StringIO()
    looks = iter([("a", "line 1", True), ("b", "line 2", True), ("c", "line 3", False)])
    watch(lambda: next(looks), 0.0, Console(file=stream, force_terminal=False))
    assert stream.getvalue().splitlines() == ["line 1", "line 2", "line 3"]
    stream = io.StringIO()
    looks = iter([("a", "", True), ("the end", "", False)])
    watch(lambda: next(looks), 0.0, Console(file=stream, force_terminal=True, width=40))
    assert "the end" in stream.getvalue()
