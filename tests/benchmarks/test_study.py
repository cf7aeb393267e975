"""The study's table knows what ART had learnt."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.study import by_set, main
from models.recipes.art_designs import set_a, set_b


def test_counts_are_summed_over_what_art_had_learnt_and_the_rest() -> None:
    (first, second), other = sorted(set_a())[:2], min(set_b())
    things = {
        first: {"named": 3, "found": 2},
        second: {"named": 1, "found": 0},
        other: {"named": 5, "found": 1},
    }
    assert by_set(things) == {"A": {"named": 4, "found": 2}, "B": {"named": 5, "found": 1}}


def test_the_table_is_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    things = {"ART+": {min(set_b()): {"named": 4, "found": 1}}}
    (tmp_path / "evaluation.json").write_text(json.dumps({"name": "small", "things": things}))
    monkeypatch.setattr(sys, "argv", ["study", str(tmp_path), "--json", str(tmp_path / "kept.json")])
    main()
    printed = capsys.readouterr().out
    assert "25.0% of 4" in printed
    assert "–" in printed
    assert json.loads((tmp_path / "kept.json").read_text())["by_set"]["ART+"]["B"] == {"named": 4, "found": 1}


@pytest.mark.parametrize(
    ("text", "says"), [(None, "give the folder of `layerprism evaluate`"), ("{}", "draws nothing twice")]
)
def test_an_evaluation_that_does_not_tell_is_refused(
    text: str | None,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        (tmp_path / "evaluation.json").write_text(text)
    monkeypatch.setattr(sys, "argv", ["study", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
