"""Stand-ins for what recipes read and the repository does not hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.recipes import photographs


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
