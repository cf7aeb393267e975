"""Stand-ins for what recipes read and the repository does not hold."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.recipes import clipart, photographs


@pytest.fixture
def made_up_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture of random squares under the name of every photograph, in place of the real ones."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, photograph in enumerate(photographs.PHOTOGRAPHS):
        squares = np.random.default_rng(number).integers(0, 256, (15, 20, 3), np.uint8)
        Image.fromarray(squares.repeat(12, axis=0).repeat(12, axis=1)).save(folder / photograph.file)
    monkeypatch.setattr(photographs, "FOLDER", folder)
    return folder


@pytest.fixture
def made_up_clipart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with drawings of a disc on a board, in place of the real clip art."""
    folder = tmp_path / "clipart"
    (folder / "shapes").mkdir(parents=True)
    for number in range(6):
        drawing = Image.new("RGBA", (240, 200))
        draw = ImageDraw.Draw(drawing)
        draw.polygon([(20, 180), (60 + 10 * number, 90), (220, 180)], fill=(200, 40 * number, 60, 255))
        draw.ellipse((60, 20, 160, 120), fill=(30 * number, 160, 220, 255))
        drawing.save(folder / "shapes" / f"{number}.png")
    monkeypatch.setattr(clipart, "FOLDER", folder)
    clipart._files.cache_clear()
    yield folder
    clipart._files.cache_clear()
