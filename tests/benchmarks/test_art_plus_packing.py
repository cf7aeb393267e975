"""How ART+'s packed batches are timed against padded ones."""

from pathlib import Path

from benchmarks.art_plus_packing import measure


def test_both_ways_are_timed(tmp_path: Path, emoji_font: None) -> None:
    (row,) = measure(tmp_path, designs=5, budgets=[512], batches=1)
    assert 1 < row.designs <= 4
    assert row.packed_tokens <= min(512, row.padded_tokens)
    assert row.allowed >= 1
    assert min(row.packed_seconds, row.padded_seconds) > 0
    assert abs(row.share - row.gain / row.allowed) < 1e-9
