"""The noise benchmark's trainings and its evaluation speak of the same models."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import immiscible_art
from pipeline.evaluate_config import load_evaluate_config


def test_every_kind_of_noise_is_evaluated_where_it_was_trained() -> None:
    config = load_evaluate_config(immiscible_art.EVALUATION)
    places = {name: Path(model.folders[0]).resolve() for name, model in config.models.items()}
    assert places == {kind: immiscible_art.FOLDER / kind / "model" for kind in immiscible_art.KINDS}


def test_trainings_differ_by_their_noise_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(immiscible_art, "_layerprism", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(immiscible_art, "FOLDER", tmp_path)
    for kind in immiscible_art.KINDS:
        immiscible_art.train(kind, 7, ["tokens=1024"])
    assert (
        len({" ".join(call).replace(kind, "KIND") for kind, call in zip(immiscible_art.KINDS, calls, strict=True)}) == 1
    )
    model = tmp_path / "c2ot" / "model"
    model.mkdir(parents=True)
    (model / "art.json").touch()
    immiscible_art.train("c2ot", 7, [])
    assert len(calls) == 4  # what is trained is not trained again


def test_figures_are_taken_from_the_evaluation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = {"value": 3.0, "interval": [2.0, 4.0]}

    def evaluated(*arguments: Any) -> None:
        out = Path(arguments[arguments.index("--out") + 1])
        out.mkdir(parents=True)
        models = {kind: {"figures": {"kid_whole": figure}} for kind in immiscible_art.KINDS}
        (out / "evaluation.json").write_text(json.dumps({"models": models}))

    monkeypatch.setattr(immiscible_art, "_layerprism", evaluated)
    monkeypatch.setattr(immiscible_art, "FOLDER", tmp_path)
    rows = immiscible_art.evaluate(5, None)
    assert rows["c2ot"] == {"kid_whole": figure, "kid_layers": None, "found": None}
