"""The embedded models: their vocabulary, their loaders, and the recipes that trained them."""

from pathlib import Path
from typing import Final

TINY: Final = Path(__file__).parent / "layerprism-tiny"
"""A diffusers folder: the text-to-image model of the default configuration, with its CLIP in `clip/`."""

JUDGE: Final = Path(__file__).parent / "layerprism-judge"
"""The referee, which never filters and never chooses."""
