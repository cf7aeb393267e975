"""How waiting for data is measured."""

from pathlib import Path

from benchmarks.data_wait import measure


def test_all_epochs_are_timed(tmp_path: Path) -> None:
    first, later = measure(tmp_path, designs=6, side=32, layers=2, tokens=128, epochs=2)
    assert (first.first, later.first) == (True, False)
    for wait in (first, later):
        assert 0 < wait.tokens <= 128
        assert min(wait.making, wait.step) > 0
        assert 0 <= wait.share <= 1
