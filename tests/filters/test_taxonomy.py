"""Names of defects: one line each, and nothing else passes as a reason."""

import re

import pytest

from filters.alpha import ALPHA_SCORES
from filters.taxonomy import DEFECTS, check_reasons
from layered.errors import UserError


def test_every_defect_has_a_plain_name_and_one_line() -> None:
    for name, defect in DEFECTS.items():
        assert name == defect.name
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert defect.definition.endswith(".")
        assert "\n" not in defect.definition
        assert defect.of_layers or defect.of_wholes


def test_every_alpha_check_is_named_after_a_defect_of_layers() -> None:
    assert all(DEFECTS[score.removeprefix("alpha_")].of_layers for score in ALPHA_SCORES)


def test_definitions_differ() -> None:
    assert len({defect.definition for defect in DEFECTS.values()}) == len(DEFECTS)


def test_known_reasons_pass() -> None:
    check_reasons(("halo", "cut", "z_order"), "labels.csv")


def test_a_misspelt_reason_is_named_with_its_place_and_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"labels\.csv, row 3: the reason 'halos' .*did you mean 'halo'\?"):
        check_reasons(("cut", "halos"), "labels.csv, row 3")


def test_an_unknown_reason_lists_what_is_valid() -> None:
    with pytest.raises(UserError, match=r"valid here: empty, cut"):
        check_reasons(("qqqqq",), "here")
