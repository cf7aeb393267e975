"""Prompts from captions, generation sizes from boxes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layered.errors import UserError
from pipeline.prompts import fill_template, nearest_size

SIDES = st.integers(1, 5000)
SIZES = st.tuples(SIDES, SIDES)
TEMPLATE = "{caption}, {style} style, {suffix}"


def test_a_prompt_holds_caption_style_and_suffix() -> None:
    prompt = fill_template(TEMPLATE, caption="a red apple", style="neon", suffix="on gray")
    assert prompt == "a red apple, neon style, on gray"


def test_a_clause_about_nothing_is_left_out() -> None:
    assert fill_template(TEMPLATE, caption="a red apple", style="", suffix="on gray") == "a red apple, on gray"
    assert fill_template(TEMPLATE, caption="a red apple", style="", suffix="") == "a red apple"


def test_braces_and_commas_of_captions_stay() -> None:
    assert fill_template("{caption}, {style} style", caption="a {x}, b", style="flat") == "a {x}, b, flat style"


@pytest.mark.parametrize("template", ["{caption} {colour}", "{caption", "{0}", "{caption!z}"])
def test_a_wrong_template_is_one_clear_line(template: str) -> None:
    with pytest.raises(UserError, match=r"prompt template .* may hold \{caption\}, \{style\}"):
        fill_template(template, caption="a", style="b")


@given(wanted=SIZES, sizes=st.lists(SIZES, min_size=1, max_size=6))
def test_no_other_size_has_a_nearer_aspect(wanted: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    def distance(size: tuple[int, int]) -> float:
        return abs(math.log(size[0] / size[1]) - math.log(wanted[0] / wanted[1]))

    assert distance(nearest_size(wanted, sizes)) == min(map(distance, sizes))


@given(wanted=SIZES, factor=st.integers(1, 20))
def test_the_size_of_a_box_does_not_matter_its_aspect_does(wanted: tuple[int, int], factor: int) -> None:
    sizes = [(1024, 1024), (1216, 832), (832, 1216), (1344, 768), (768, 1344)]
    scaled = (wanted[0] * factor, wanted[1] * factor)
    chosen = nearest_size(scaled, sizes)
    # Exactly between two aspects, rounding may decide either way.
    exact = abs(math.log(chosen[0] / chosen[1]) - math.log(wanted[0] / wanted[1]))
    best = min(abs(math.log(w / h) - math.log(wanted[0] / wanted[1])) for w, h in sizes)
    assert exact == pytest.approx(best, abs=1e-9)
