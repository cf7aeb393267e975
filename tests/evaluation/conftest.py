"""What needs the font that the models were trained on."""

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def emoji_font(require: Callable[[str], None]) -> None:
    from models.recipes.sprites import EMOJI_FONT

    if not EMOJI_FONT.exists():
        require("the font of Debian's fonts-noto-color-emoji")
