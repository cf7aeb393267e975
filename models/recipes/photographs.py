"""Free photographs to learn from: which, whose, under which licence, and pieces cut out of them.

They are not part of this repository. Put the files into one folder, `models/recipes/checkpoints/photographs`:

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04    on Debian 12; for each: dpkg -x FILE.deb DIR
    pip download --no-deps scikit-image==0.26.0 scikit-learn==1.9.1     for each: unzip FILE.whl

and copy from `usr/share/backgrounds`, `skimage/data` and `sklearn/datasets/images` what `PHOTOGRAPHS` names.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from layered.arrays import UInt8Array
from layered.errors import UserError
from models.recipes.drawings import CHECKPOINTS
from models.recipes.matting_textures import Values

FOLDER: Final = CHECKPOINTS / "photographs"
_LONGEST: Final = 1800
_SMALLEST: Final = 96  # pixels of a photograph that are enlarged to a piece
_DETAIL: Final = 0.012  # mean step between neighbouring pixels of a piece that is in focus


@dataclass(frozen=True)
class Photograph:
    """Where a photograph comes from; `file` is its name there and in the folder."""

    file: str
    package: str
    author: str
    licence: str


_LOMIRI: Final = "Debian lomiri-wallpapers-16.04 20.04.0-2"
_SKIMAGE: Final = "PyPI scikit-image 0.26.0"
_SKLEARN: Final = "PyPI scikit-learn 1.9.1"

PHOTOGRAPHS: Final = (
    Photograph("Bridge_by_Sander_Klootwijk.jpg", _LOMIRI, "Sander Klootwijk", "CC-BY-SA-4.0"),
    Photograph("Dragonfly_by_Bolly.jpg", _LOMIRI, "Bolly", "CC-BY-SA-4.0"),
    Photograph("Picture_0B_by_freespace.jpg", _LOMIRI, "Trevor “Freespace”", "CC-BY-4.0"),
    Photograph("Picture_1A_by_freespace.jpg", _LOMIRI, "Trevor “Freespace”", "CC-BY-4.0"),
    Photograph("Wine_by_Jakkub_Mede.jpg", _LOMIRI, "Jakub Mede", "CC-BY-4.0"),
    Photograph("aitzgorri_by_Aitzol_Berasategi.jpg", _LOMIRI, "Aitzol Berasategi", "CC-BY-4.0"),
    Photograph("free_by_Peter_Nerlich.jpg", _LOMIRI, "Peter Nerlich", "CC-BY-SA-4.0"),
    Photograph("friends_by_Aitzol_Berasategi.jpg", _LOMIRI, "Aitzol Berasategi", "CC-BY-4.0"),
    Photograph("greentock_by_Peter_Nerlich.jpg", _LOMIRI, "Peter Nerlich", "CC-BY-SA-4.0"),
    Photograph("life_by_Aitzol_Berasategi.jpg", _LOMIRI, "Aitzol Berasategi", "CC-BY-4.0"),
    Photograph("picosdeeuropa_by_Aitzol_Berasategi.jpg", _LOMIRI, "Aitzol Berasategi", "CC-BY-4.0"),
    Photograph("seeding_by_Clements_Engelhardt.jpg", _LOMIRI, "Clemens Engelhardt", "CC0-1.0"),
    Photograph("sunset_by_Aitzol_Berasategi.jpg", _LOMIRI, "Aitzol Berasategi", "CC-BY-4.0"),
    Photograph(
        "Kleiber_by_Lukas_Baubkus.jpg", "Debian lomiri-wallpapers-20.04 20.04.0-2", "Lukas Baubkus", "CC-BY-SA-3.0"
    ),
    Photograph("astronaut.png", _SKIMAGE, "NASA", "public domain"),
    Photograph("chelsea.png", _SKIMAGE, "Stefan van der Walt", "CC0-1.0"),
    Photograph("coffee.png", _SKIMAGE, "Rachel Michetti", "CC0-1.0"),
    Photograph("rocket.jpg", _SKIMAGE, "SpaceX", "public domain"),
    Photograph("brick.png", _SKIMAGE, "CC0Textures", "CC0-1.0"),
    Photograph("grass.png", _SKIMAGE, "CC0Textures", "CC0-1.0"),
    Photograph("gravel.png", _SKIMAGE, "CC0Textures", "CC0-1.0"),
    Photograph("china.jpg", _SKLEARN, "danielbuechele", "CC-BY-2.0"),
    Photograph("flower.jpg", _SKLEARN, "vultilion", "CC-BY-2.0"),
)


def piece(side: int, rng: np.random.Generator) -> Values:
    """A square cut out of a photograph at random, in focus, RGB ``[side, side, 3]`` in 0…1.

    Mostly much larger before than after, so that it is as crisp as what cameras see is on a small picture.

    Raises:
        UserError: when `FOLDER` lacks a photograph.
    """
    names = tuple(each.file for each in PHOTOGRAPHS)
    while True:
        photograph = _loaded(FOLDER / names[rng.integers(len(names))])
        height, width = photograph.shape[:2]
        extent = int(min(height, width) * np.exp(rng.uniform(np.log(0.12), 0)))
        extent = min(max(extent, _SMALLEST), height, width)
        top, left = int(rng.integers(0, height - extent + 1)), int(rng.integers(0, width - extent + 1))
        cut = Image.fromarray(photograph[top : top + extent, left : left + extent])
        small = np.asarray(cut.resize((side, side), Image.Resampling.LANCZOS), np.float32) / np.float32(255)
        if np.abs(np.diff(small, axis=1)).mean() + np.abs(np.diff(small, axis=0)).mean() > 2 * _DETAIL:
            return small[:, ::-1] if rng.random() < 0.5 else small


@functools.cache
def _loaded(path: Path) -> UInt8Array:
    if not path.is_file():
        raise UserError(f"{path} is missing: the docstring of models/recipes/photographs.py says where to get it")
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return np.asarray(picture)
