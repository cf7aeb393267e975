"""The run configuration: strict, and helpful where it refuses."""

import json
from pathlib import Path

import pytest

from layered.errors import UserError
from pipeline.config import RunConfig, config_schema, load_config


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("seed: 5\nplan:\n  samples: 3\n")
    return path


def test_sections_that_are_not_given_take_their_defaults(config_file: Path) -> None:
    config = load_config(config_file)
    assert config == RunConfig(seed=5, plan={"samples": 3})
    assert config.layer_flux.model == "layerprism-tiny"
    assert config.executor.kind == "ray"


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("layer_flux.attempts=4", ("layer_flux", "attempts"), 4),
        ("executor.kind=inline", ("executor", "kind"), "inline"),
        ("executor.workers=2", ("executor", "workers"), 2),
        ("layer_flux.model=some/model", ("layer_flux", "model"), "some/model"),
        ("matting.backend=keyer", ("matting", "backend"), "keyer"),
        ("filters.clip_layer.threshold=0.5", ("filters", "clip_layer", "threshold"), 0.5),
        ("plan.designer.canvases=[[256, 256]]", ("plan", "designer", "canvases"), ((256, 256),)),
    ],
)
def test_the_fixed_names_can_be_set(config_file: Path, override: str, key: tuple[str, ...], value: object) -> None:
    found: object = load_config(config_file, [override])
    for name in key:
        found = getattr(found, name)
    assert found == value


def test_a_head_lies_where_its_configuration_says_it_does(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("filters: {aesthetic: {enabled: true, head: heads/mine.safetensors}}\n")
    config = load_config(tmp_path / "run.yaml")
    assert config.filters.aesthetic.head == str(tmp_path / "heads/mine.safetensors")


def test_a_score_keeps_its_threshold_when_only_another_setting_is_given(config_file: Path) -> None:
    defaults = load_config(config_file).filters.clip_layer
    switched_off = load_config(config_file, ["filters.clip_layer.enabled=false"]).filters.clip_layer
    assert switched_off == defaults.model_copy(update={"enabled": False})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("layer_flux.attemps=2", r"unknown key `layer_flux\.attemps` in --set .*; did you mean `attempts`\?"),
        ("exekutor.workers=2", r"unknown key `exekutor` in --set .*; did you mean `executor`\?"),
        ("filters.clip_layr.threshold=1", r"unknown key `filters\.clip_layr` in --set .*did you mean `clip_layer`\?"),
        ("zzz=1", r"unknown key `zzz` in --set zzz=1; valid here: name, seed, "),
        ("plan.samples=many", r'`plan\.samples` in --set plan\.samples=many is "many": it should be a valid integer'),
        ("plan.samples=0", r"`plan\.samples` in --set plan\.samples=0 is 0: it should be greater than or equal to 1"),
        ("seed='7'", r'`seed` in --set .* is "7": it should be a valid integer'),
        ("seed=true", r"`seed` in --set .* is true: it should be a valid integer"),
        ("executor.kind=slurm", r"`executor\.kind` in .* it should be 'ray' or 'inline'"),
        ("plan=3", r"`plan` in --set plan=3 is 3: it should be a mapping of keys to values"),
        ("plan.designer.canvases=[[1, 2, 3]]", r"`plan\.designer\.canvases\.0` in .* at most 2 items, not 3"),
        ("plan.designer.canvases=[[8, 512]]", r"canvas \[8, 512\] has a side outside 64…16384"),
        ("plan.designer={min_layers: 5, max_layers: 2}", r"min_layers 5 is above max_layers 2"),
        ("plan.splits={train: 0.5}", r"the shares of the splits sum to 0\.5, not to 1"),
        ("plan.splits={train: 1.5, val: -0.5}", r"the share 1\.5 of split 'train' is not in 0…1"),
        ("plan.splits={Tr.ain: 1}", r"split 'Tr\.ain' may hold lower-case letters and digits only"),
    ],
)
def test_a_mistake_is_one_line_with_key_place_and_way_out(config_file: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_config(config_file, [override])
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("seed: 5\nplan:\n  samples: 3\n  sampels: 4\n")
    with pytest.raises(UserError, match=r"unknown key `plan\.sampels` in .*run\.yaml:4; did you mean `samples`\?"):
        load_config(path)


def test_further_mistakes_are_counted(config_file: Path) -> None:
    with pytest.raises(UserError, match=r"\(and 1 more\)$"):
        load_config(config_file, ["seed=x", "name=3"])


def test_the_schema_accepts_what_the_loader_accepts() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(config_schema())
    validator.check_schema(config_schema())
    assert validator.is_valid({"extends": "demo.yaml", "plan": {"samples": 3}})
    assert not validator.is_valid({"plan": {"sampels": 3}})
    assert json.loads(json.dumps(config_schema())) == config_schema()
