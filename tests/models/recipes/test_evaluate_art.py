"""ART's figures mean what their names say: exact designs score high, others' prompts low, nothing has nothing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from evaluation.judge import load_judge
from layered.box import Box
from layered.image import Layer, LayeredImage
from models.recipes.art_designs import VALIDATION
from models.recipes.evaluate_art import Case, Rate, cases, empty_or_repeated, found, measured, picture, psnr
from models.recipes.sprites import place


def design_of(labels: Sequence[str], empty: int = 0) -> LayeredImage:
    """Sprites side by side, and some layers that show nothing."""
    box = Box(0, 0, 64, 64)
    layers = [Layer(np.asarray(place(label, "cartoon", 0.9, (0, 0), 64)), box) for label in labels]
    layers += [Layer(np.zeros((64, 64, 4), np.uint8), box)] * empty
    return LayeredImage(np.zeros((128, 128, 3), np.uint8), tuple(layers))


@pytest.fixture(scope="module")
def some(emoji_font: None) -> list[Case]:
    return cases(VALIDATION, 10)


def test_exact_designs_show_what_their_prompts_name_and_hardly_what_others_do(
    emoji_font: None, some: list[Case]
) -> None:
    exact = [replace(case.design.image, merged=case.design.image.whole()) for case in some]
    facts = measured(load_judge(), some, exact)
    assert facts["named_found"]["value"] > 0.9
    assert facts["named_found_by_chance"]["value"] < 0.3
    assert facts["empty_or_repeated"]["value"] < 0.1
    assert facts["recomposition_psnr"]["value"] == 60
    assert sum(entry["designs"] for entry in facts["by_layers"].values()) == 10


def test_layers_and_names_are_matched_one_to_one(emoji_font: None) -> None:
    judge = load_judge()
    image = design_of(["dog", "apple", "dog"])
    assert found(judge, image, ["apple", "dog"]) == 2
    assert found(judge, image, ["apple", "banana"]) == 1
    assert found(judge, image, ["apple", "apple"]) == 1
    assert found(judge, design_of(["dog"]), ["apple", "dog", "car"]) == 1


def test_empty_and_repeated_layers_are_counted(emoji_font: None) -> None:
    judge = load_judge()
    assert empty_or_repeated(judge, design_of(["dog", "apple"])) == 0
    assert empty_or_repeated(judge, design_of(["dog", "apple", "dog", "dog"])) == 2
    assert empty_or_repeated(judge, design_of(["dog"], empty=2)) == 2


def test_psnr_is_that_of_a_known_error() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == 60
    assert psnr(black, black + 255) == pytest.approx(0)
    assert psnr(black, black + 51) == pytest.approx(20 * np.log10(5))


def test_a_rate_counts_over_all_designs_and_its_interval_holds_it() -> None:
    rate = Rate([1, 0, 3], [2, 4, 4]).as_json()
    assert rate["value"] == 0.4
    assert rate["interval"][0] < 0.4 < rate["interval"][1]
    assert Rate([2, 1], [2, 1]).as_json()["interval"] == [1, 1]


def test_cases_take_their_numbers_of_layers_in_turn(emoji_font: None, some: list[Case]) -> None:
    assert [len(case.layout.boxes) for case in some] == [2, 3, 4, 5, 6] * 2
    assert all(case.layout.canvas == (128, 128) for case in some)


def test_the_picture_has_a_row_for_each_sample(emoji_font: None, some: list[Case]) -> None:
    shown = [replace(case.design.image, merged=case.design.image.whole()) for case in some[:3]]
    sheet = picture(shown)
    assert sheet.shape == (3 * (96 + 14 + 8) + 8, 9 * (96 + 8) + 8, 3)
