"""A whole ART with random weights, for every test that samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from art_model.checkpoint import Art

# Imports stand in the fixtures: most tests here need neither torch's models nor diffusers.


@pytest.fixture(scope="session")
def art_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on disk, in the subfolder `art`. No test may change it."""
    from tests.art_model.random_art import random_art

    folder = tmp_path_factory.mktemp("model")
    random_art(folder / "art")
    return folder


@pytest.fixture(scope="session")
def loaded_art(art_folder: Path) -> Art:
    """The model in memory. No test may change it."""
    from art_model.checkpoint import load_art

    return load_art(art_folder)


@pytest.fixture
def art(loaded_art: Art) -> Art:
    """The model in memory; a test may put other parts into it."""
    return replace(loaded_art)
