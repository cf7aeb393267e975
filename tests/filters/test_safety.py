"""Safety: prompts decide, and a layer cannot hide in a design."""

import pytest

from filters import safety
from filters.clip import ClipConfig
from filters.config import FiltersConfig
from filters.safety import Safety, SafetyConfig
from layered.scores import WHOLE_IMAGE
from tests.filters.color_clip import ColorClip
from tests.filters.designs import Plain, design
from tests.filters.drawings import drawing

CONFIG = SafetyConfig(enabled=True, unwanted=("something red",), wanted=("something green", "something blue"))


@pytest.fixture
def colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "shared_clip", lambda config: ColorClip())


@pytest.mark.usefixtures("colors")
def test_an_unwanted_layer_is_found_in_a_harmless_design() -> None:
    layers = [Plain((0, 0, 190, 150), (30, 60, 200)), Plain((10, 10, 30, 30), (200, 40, 40))]
    (result,) = Safety(CONFIG, ClipConfig()).score([design(layers)])
    rows = {row.layer_index: row.score for row in result.scores}
    assert set(rows) == {WHOLE_IMAGE, 0, 1}
    assert rows[1] < 0 < min(rows[WHOLE_IMAGE], rows[0])


@pytest.mark.usefixtures("colors")
def test_texts_are_left_to_the_whole_image() -> None:
    layers = [Plain((10, 10, 30, 30), kind="text"), Plain((50, 50, 90, 90))]
    (result,) = Safety(CONFIG, ClipConfig()).score([design(layers)])
    assert [row.layer_index for row in result.scores] == [WHOLE_IMAGE, 1]


def test_it_is_off_until_it_is_asked_for() -> None:
    assert "safety" not in FiltersConfig().thresholds()
    assert FiltersConfig(safety=CONFIG).thresholds()["safety"] == 0


def test_prompts_in_the_embedded_clips_own_words_tell_unwanted_from_wanted() -> None:
    config = SafetyConfig(
        enabled=True, unwanted=("a red star", "a red circle"), wanted=("a blue star", "a blue circle")
    )
    filter_ = Safety(config, ClipConfig())
    filter_.setup()
    margins = {}
    for name, color in (("red", (225, 45, 45)), ("blue", (40, 95, 220))):
        star = drawing("star", color, 0.8)
        sample = design([Plain((20, 10, 20 + star.shape[1], 10 + star.shape[0]), pixels=star)])
        margins[name] = {row.layer_index: row.score for row in filter_.score([sample])[0].scores}[0]
    assert margins["red"] < -0.05 < 0.05 < margins["blue"]
