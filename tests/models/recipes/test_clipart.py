"""Clip art to learn from: one thing on a transparent ground, in the middle, and a clear word when there is none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from layered.errors import UserError
from models.recipes import clipart
from models.recipes.clipart import clip_art


@pytest.mark.usefixtures("made_up_clipart")
def test_a_drawing_is_in_the_middle_and_repeats_itself() -> None:
    layer = clip_art(64, np.random.default_rng(1))
    assert layer.shape == (64, 64, 4)
    assert (layer[..., :3] <= layer[..., 3:]).all()
    rows, columns = np.nonzero(layer[..., 3] > 0.5)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(0.86 * 64, abs=2)
    assert rows.min() == pytest.approx(63 - rows.max(), abs=2)
    assert columns.min() == pytest.approx(63 - columns.max(), abs=2)
    assert np.array_equal(layer, clip_art(64, np.random.default_rng(1)))


def test_cards_opaque_pictures_small_ones_and_things_in_pieces_are_passed_over(made_up_clipart: Path) -> None:
    Image.new("RGB", (200, 200), (0, 255, 0)).save(made_up_clipart / "opaque.png")
    Image.new("RGBA", (200, 200), (0, 255, 0, 255)).save(made_up_clipart / "card.png")
    Image.new("RGBA", (200, 200)).save(made_up_clipart / "empty.png")
    pieces, small = Image.new("RGBA", (200, 200)), Image.new("RGBA", (60, 60))
    for corner in (0, 120):
        ImageDraw.Draw(pieces).ellipse((corner, corner, corner + 70, corner + 70), fill=(0, 255, 0, 255))
    ImageDraw.Draw(small).ellipse((10, 10, 50, 50), fill=(0, 255, 0, 255))
    pieces.save(made_up_clipart / "pieces.png")
    small.save(made_up_clipart / "small.png")
    for seed in range(30):
        layer = clip_art(32, np.random.default_rng(seed))
        greenest = layer[layer[..., 3] > 0.9][:, :3] @ [-1, 1, -1]
        assert greenest.max() < 0.9


def test_missing_clip_art_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipart, "FOLDER", tmp_path / "nowhere")
    clipart._files.cache_clear()
    with pytest.raises(UserError, match=r"nowhere has no drawings.*clipart\.py says where"):
        clip_art(48, np.random.default_rng(1))
