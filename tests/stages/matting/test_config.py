"""The `matting` section: which values fit together, and what a model's folder must hold."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from layered.errors import UserError
from stages.matting import BACKENDS, MattingConfig, resolve_model
from stages.matting.config import DEFAULT_MODELS


def test_an_unknown_backend_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ValidationError, match="valid here: keyer, layerprism, vitmatte, rembg, triangulation, native"):
        MattingConfig(backend="magic")


@pytest.mark.parametrize("key", ["model", "revision", "licence"])
def test_a_closed_form_takes_no_model(key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key} is for layerprism, vitmatte, rembg: keyer has no model"):
        MattingConfig.model_validate({"backend": "keyer", key: "x"})


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_network_has_a_model_of_its_own(backend: str) -> None:
    assert resolve_model(MattingConfig(backend=backend)).model == DEFAULT_MODELS.get(backend, "")


def test_the_embedded_network_tells_its_revision_and_licence() -> None:
    model = resolve_model(MattingConfig(backend="layerprism"))
    assert model.revision
    assert model.licence == "Apache-2.0"
    assert Path(model.location).is_dir()


def test_what_is_configured_stands_above_what_the_folder_tells() -> None:
    model = resolve_model(MattingConfig(backend="layerprism", revision="mine", licence="MIT"))
    assert (model.revision, model.licence) == ("mine", "MIT")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no config.json"),
        ("{", "is no JSON"),
        ("[]", "describes no MattingNetwork"),
        (json.dumps({"architecture": "VitMatte", "widths": [8]}), "describes no MattingNetwork"),
        (json.dumps({"architecture": "MattingNetwork"}), "describes no MattingNetwork"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused_in_one_line(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        resolve_model(MattingConfig(backend="layerprism", model=str(tmp_path)))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
