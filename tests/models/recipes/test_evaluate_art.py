"""ART's figures mean what their names say: exact designs score high, others' prompts low."""

from dataclasses import replace

import pytest

from evaluation.judge import load_judge
from models.recipes.art_designs import VALIDATION
from models.recipes.evaluate_art import Case, cases, measured, picture


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


def test_cases_take_their_numbers_of_layers_in_turn(emoji_font: None, some: list[Case]) -> None:
    assert [len(case.layout.boxes) for case in some] == [2, 3, 4, 5, 6] * 2
    assert all(case.layout.canvas == (128, 128) for case in some)


def test_the_picture_has_a_row_for_each_sample(emoji_font: None, some: list[Case]) -> None:
    shown = [replace(case.design.image, merged=case.design.image.whole()) for case in some[:3]]
    sheet = picture(shown)
    assert sheet.shape == (3 * (96 + 14 + 8) + 8, 9 * (96 + 8) + 8, 3)
