"""A configuration of an evaluation is read like any other: paths from its file, mistakes in one line."""

from pathlib import Path

import pytest
import yaml

from layered import UserError
from pipeline.evaluate_config import EvaluateConfig, folder_name, load_evaluate_config
from tests.conftest import REPOSITORY

STUDY = {
    name: REPOSITORY / "configs" / "study" / f"{name}.yaml"
    for name in ("curation", "evaluate", "guidance", "guidance_on_bench", "noise")
}
SHIPPED = [*sorted((REPOSITORY / "configs" / "evaluate").glob("*.yaml")), *STUDY.values()]


def config(folder: Path, text: str, *overrides: str) -> EvaluateConfig:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return load_evaluate_config(folder / "config.yaml", overrides)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_load_and_name_what_is_there(path: Path) -> None:
    loaded = load_evaluate_config(path)
    for model in loaded.models.values():
        assert model.run is None or Path(model.run).is_file()
    designs = loaded.bench.designs
    assert designs is None or Path(designs).is_file() or Path(designs).resolve().is_relative_to(REPOSITORY / "runs")
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_the_study_asks_all_models_alike_which_guidance_suits_them() -> None:
    asked, chosen = (load_evaluate_config(path) for path in (STUDY["guidance"], STUDY["evaluate"]))
    assert asked.models.keys() == chosen.models.keys()
    assert {model.true_cfg for model in asked.models.values()} == {None}
    assert any(model.true_cfg for model in chosen.models.values())


def test_paths_are_relative_to_the_file_and_the_embedded_model_has_none(tmp_path: Path) -> None:
    models = {"A": {"art": "layerprism-tiny"}, "B": {"art": ["one", "layerprism-tiny"]}, "C": {"run": "r.yaml"}}
    text = yaml.safe_dump({"bench": {"publication": "../run"}, "models": models})
    loaded = config(tmp_path, text, "models.D.samples=there")
    assert loaded.bench.publication == str(tmp_path / "../run")
    assert loaded.models["A"].folders == ("layerprism-tiny",)
    assert loaded.models["B"].folders == (str(tmp_path / "one"), "layerprism-tiny")
    assert loaded.models["C"].run == str(tmp_path / "r.yaml")
    assert loaded.models["D"].samples == "there"


def test_each_model_is_compared_with_those_before_it_unless_pairs_are_given(tmp_path: Path) -> None:
    text = "bench: {briefs: b.jsonl}\nmodels: {A: {samples: a}, B: {samples: b}, C: {samples: c}}\n"
    assert config(tmp_path, text).comparisons == (("B", "A"), ("C", "A"), ("C", "B"))
    assert config(tmp_path, text, "compare=[[A, C]]").comparisons == (("A", "C"),)


def test_names_of_models_name_folders() -> None:
    assert folder_name("ART+") == "art-plus"
    assert folder_name("ART, step 2") == "art-step-2"
    assert folder_name("?") == "model"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"models": {"A": {"art": "x", "run": "y"}}}, "exactly one of art, run and samples"),
        ({"models": {"A": {"atr": "x"}}}, "unknown key `models.A.atr` in .*config.yaml:.*; did you mean `art`?"),
        ({"models": {"A": {"art": "x", "set": ["a=1"]}}}, "`set` overrides a run's configuration"),
        ({"models": {"A": {"samples": "x", "true_cfg": 2.0}}}, "`true_cfg` is guidance of an ART model"),
        ({"models": {"A b": {"art": "x"}, "a-b": {"art": "y"}}}, "would share a folder"),
        ({"models": {"A": {"art": "x"}}, "compare": [["A", "B"]]}, "there is no model 'B'; there are A"),
        ({"models": {"A": {"art": "x"}}, "task": "image_to_layers"}, "needs the true designs"),
        ({"models": {}}, "models"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, values: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        config(tmp_path, yaml.safe_dump({"bench": {"briefs": "b.jsonl"}, **values}))
    assert "\n" not in str(caught.value)


def test_multi_layer_flux_takes_no_picture_apart(tmp_path: Path) -> None:
    text = "task: image_to_layers\nbench: {publication: p}\nmodels: {A: {run: r.yaml}}\n"
    with pytest.raises(UserError, match="takes no picture apart"):
        config(tmp_path, text)
