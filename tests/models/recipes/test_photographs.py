"""Photographs to learn from: each with its origin and a free licence, pieces in focus, a clear word when missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layered.errors import UserError
from models.recipes import photographs
from models.recipes.photographs import PHOTOGRAPHS, piece


def test_every_photograph_is_named_once_and_free() -> None:
    assert len({photograph.file for photograph in PHOTOGRAPHS}) == len(PHOTOGRAPHS)
    assert all(photograph.author and photograph.package for photograph in PHOTOGRAPHS)
    assert all(photograph.licence.startswith(("CC0", "CC-BY", "public domain")) for photograph in PHOTOGRAPHS)


@pytest.mark.usefixtures("made_up_photographs")
def test_a_piece_is_square_and_repeats_itself() -> None:
    first = piece(48, np.random.default_rng(1))
    assert first.shape == (48, 48, 3)
    assert 0 <= first.min() < first.max() <= 1
    assert np.array_equal(first, piece(48, np.random.default_rng(1)))
    assert not np.array_equal(first, piece(48, np.random.default_rng(2)))


def test_what_is_out_of_focus_is_not_chosen(made_up_photographs: Path) -> None:
    sharp = PHOTOGRAPHS[3].file
    for photograph in PHOTOGRAPHS:
        if photograph.file != sharp:
            Image.new("RGB", (240, 180), (90, 60, 30)).save(made_up_photographs / photograph.file)
    photographs._loaded.cache_clear()
    assert piece(48, np.random.default_rng(4)).std() > 0.1


def test_a_missing_photograph_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "FOLDER", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"nowhere.*is missing.*photographs\.py says where"):
        piece(48, np.random.default_rng(1))
