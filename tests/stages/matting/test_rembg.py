"""`rembg` as a back end; the library stands in for itself where it is not installed."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from layered.errors import UserError
from stages.matting import MattingConfig, matter_of
from tests.stages.matting.composites import GRAY, alpha_error, on_background, shape

TRUE = shape("disc", (200, 60, 150))


class Session:
    """What `rembg.new_session` gives: masks from pictures."""

    def __init__(self, name: str) -> None:
        self.name = name

    def predict(self, picture: Image.Image) -> list[Image.Image]:
        assert picture.mode == "RGB"
        return [Image.fromarray(TRUE[..., 3]).resize(picture.size)]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A `rembg` that knows one model; the names that were asked for."""
    asked: list[str] = []

    def new_session(name: str) -> Session:
        asked.append(name)
        if name != "birefnet-general":
            raise ValueError(f"No session class found for model '{name}'")
        return Session(name)

    module: Any = ModuleType("rembg")
    module.new_session = new_session
    monkeypatch.setitem(sys.modules, "rembg", module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))
    return asked


def test_the_library_s_mask_becomes_alpha_and_colours_are_freed(library: list[str]) -> None:
    found, background = matter_of(MattingConfig(backend="rembg", min_side=1)).matte(on_background(TRUE, GRAY, noise=0))
    assert background == GRAY
    assert alpha_error(found, TRUE) == 0
    fringe = (TRUE[..., 3] > 60) & (TRUE[..., 3] < 250)
    assert np.abs(found[fringe][:, :3].astype(int) - (200, 60, 150)).max() <= 6
    assert library == ["birefnet-general"]


def test_a_name_that_the_library_does_not_know_is_one_line(library: list[str]) -> None:
    with pytest.raises(UserError, match="rembg cannot load 'nonsense': No session class"):
        matter_of(MattingConfig(backend="rembg", model="nonsense")).setup()
    assert library == ["nonsense"]


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'layerprism\[matting\]'"):
        matter_of(MattingConfig(backend="rembg"))
