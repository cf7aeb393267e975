"""The filters' benchmark: ranks among sound samples, and what is found of a kind by what never heard of it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.filter_cases import Case, cases
from benchmarks.filters import _parts, _parts_by_name, left_out
from filters.artifacts import KINDS
from layered.errors import UserError
from models import TINY
from models.recipes.sprites import EMOJI_FONT


def test_a_part_is_that_of_the_worst_score_and_ties_count_half() -> None:
    scores = [{"a": 0.1}, {"a": 0.5, "b": 1.0}, {"a": 0.9, "b": 1.0}, {"b": 0.0}, {}]
    # Of the first three, a: 0.1, 0.5, 0.9 and b: 1.0, 1.0.
    assert np.allclose(_parts_by_name(scores, [0, 1, 2]), [1 / 6, 0.5, 0.5, 0.0, 1.0])


def test_the_worst_of_many_scores_is_compared_with_that_of_sound_samples() -> None:
    assert np.allclose(_parts(np.array([0.1, 0.3, 0.3, 0.9, 0.0]), [0, 1, 2]), [1 / 6, 2 / 3, 2 / 3, 1, 0])


@pytest.fixture(scope="module")
def found(require: Callable[[str], None]) -> Sequence[Case]:
    if not EMOJI_FONT.exists():
        require("the font of Debian's fonts-noto-color-emoji")
    return cases(60, 8, drawn=False)


def test_what_alpha_checks_see_is_found_untold(found: Sequence[Case]) -> None:
    areas = left_out(found, networks=None)
    assert areas.keys() == set(KINDS)
    assert all(0 <= value <= 1 for each in areas.values() for value in each.values())
    assert min(areas[kind]["together"] for kind in ("cut", "leftover", "specks")) > 0.85


def test_networks_are_asked_each_for_the_kind_it_was_not_told_of(found: Sequence[Case], tmp_path: Path) -> None:
    for kind in KINDS[:-1]:
        shutil.copytree(TINY / "artifacts", tmp_path / kind)
    with pytest.raises(UserError, match=f"{KINDS[-1]} holds no artifact classifier"):
        left_out(found, tmp_path)
    shutil.copytree(TINY / "artifacts", tmp_path / KINDS[-1])
    # These were told of all.
    assert np.mean([each["told of the others"] for each in left_out(found, tmp_path).values()]) > 0.9
