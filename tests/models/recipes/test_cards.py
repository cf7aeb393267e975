"""Measured sections of model cards."""

from pathlib import Path

import pytest

from layered.errors import UserError
from models import JUDGE, TINY
from models.recipes.cards import number_table, write_section

CARD = "# Model\n\n<!-- measured: a -->\nold\n<!-- end: a -->\n\n<!-- measured: b -->\n<!-- end: b -->\ntail\n"


def test_a_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(CARD)
    for _ in range(2):  # writing twice changes nothing more
        write_section(card, "a", "new")
        assert card.read_text() == CARD.replace("\nold\n", "\n\nnew\n\n")


def test_a_card_without_the_section_is_refused(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# Model\n")
    with pytest.raises(UserError, match="no section"):
        write_section(card, "a", "new")


def test_only_numbers_with_words_are_shown() -> None:
    table = number_table({"x": 0.5, "y": 1.0}, {"x": "how often", "z": "never measured"})
    assert table.splitlines()[2:] == ["| how often | 0.500 |"]


@pytest.mark.parametrize(("folder", "names"), [(TINY, ("layers", "vae", "clip")), (JUDGE, ("judge",))])
def test_the_shipped_cards_hold_their_numbers(folder: Path, names: tuple[str, ...]) -> None:
    text = (folder / "README.md").read_text("utf-8")
    for name in names:
        section = text.partition(f"<!-- measured: {name} -->")[2].partition(f"<!-- end: {name} -->")[0]
        assert any(character.isdigit() for character in section), name
