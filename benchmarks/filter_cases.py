"""Layers and whole images for `benchmarks/filters.py`: sound ones, broken ones, and photo-like ones to leave alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from filters.artifacts import NEED_RAW
from layered.arrays import UInt8Array
from layered.compositing import over_color
from layered.pixels import resize
from layered.placing import trim
from models.recipes import artifact_sources as sources
from models.recipes.artifact_sources import SOURCES
from models.recipes.corruptions import ALPHA_CORRUPTIONS, APPLICABLE, CORRUPTIONS, Corruption, Sample
from models.recipes.sprites import BACKGROUND
from stages.matting import MattingConfig, matter_of

SEED: Final = 977_004  # used by no training
SOUND: Final = "sound"
WRONG_OBJECT: Final = "wrong_object"
FAILED: Final = "malformed"

_SHARES: Final = {"sprite": 0.16, "matted": 0.1, "network": 0.1, "object": 0.1, "wisp": 0.07, "text": 0.12,
                  "whole": 0.1, "photo": 0.1, "figure": 0.07, "drawn": 0.04, "drawn_network": 0.04}  # fmt: skip
_OF_THE_MATTE: Final = ("leftover", "halo", "holes", "specks", *ALPHA_CORRUPTIONS)


@dataclass(frozen=True, eq=False)
class Case:
    """A sample and what is wrong with it: the name of a defect, or `SOUND`."""

    sample: Sample
    kind: str


def cases(sound: int, broken: int, seed: int = SEED, drawn: bool = True) -> list[Case]:
    """About `sound` sound samples of all sources, and of each kind of defect about `broken` samples.

    Beside the trained kinds these are what closed-form checks alone find, and captions of other things.

    Args:
        drawn: whether the embedded model draws some of them; that takes a third of a second for each.
    """
    rng = np.random.default_rng(seed)
    samples = list(_sound(sound, rng, drawn))
    found = [Case(sample, SOUND) for sample in samples]
    for kind, corrupt in (CORRUPTIONS | ALPHA_CORRUPTIONS).items():
        possible = [sample for sample in samples if _can_have(sample, kind)]
        found += _broken(possible, kind, corrupt, broken, rng)
    if drawn:
        found += [Case(sample, FAILED) for sample in sources.failures(broken, int(rng.integers(2**31)))]
    captioned = [sample for sample in samples if sample.label][:broken]
    found += [
        Case(dataclasses.replace(sample, caption=_other(sample, captioned)), WRONG_OBJECT) for sample in captioned
    ]
    return found


def _broken(
    possible: Sequence[Sample], kind: str, corrupt: Corruption, count: int, rng: np.random.Generator
) -> Iterator[Case]:
    """So many of the samples broken, each once before any is twice; those at which nothing could be seen are passed
    over."""
    given = 0
    while given < count and possible:
        before = given
        for index in rng.permutation(len(possible)):
            changed = corrupt(possible[index], rng)
            if given < count and changed is not possible[index]:
                given += 1
                yield Case(changed, kind)
            if given == count:
                return
        if given == before:
            raise ValueError(f"no sample shows {kind}")


def real_cases(folder: Path, seed: int = SEED) -> Iterator[tuple[str, Sample]]:
    """The layers of photo-like scenes as they are, and as if a generator had drawn them on gray and each back end had
    matted them; and the scenes as wholes. Named by scene and layer."""
    rng = np.random.default_rng(seed)
    matters = {backend: matter_of(MattingConfig(backend=backend)) for backend in ("keyer", "layerprism")}
    for matter in matters.values():
        matter.setup()
    for path in sorted(folder.rglob("*.png")):
        name = f"{path.parent.name}/{path.stem}"
        pixels = np.asarray(Image.open(path).convert("RGBA"))
        if path.stem == "bg":
            continue
        if path.stem in ("whole", "merged"):
            yield name, Sample("whole", pixels)
            continue
        layer = trim(pixels)
        yield name, Sample("object", layer)
        framed = _framed(layer)
        noise = rng.normal(0, 1.5, (*framed.shape[:2], 3))
        raw = np.rint(np.clip(over_color(framed, BACKGROUND) + noise, 0, 255)).astype(np.uint8)
        for backend, matter in matters.items():
            yield f"{name}, drawn on gray, {backend}", Sample("matted", matter.matte(raw, BACKGROUND)[0], raw)


def _framed(layer: UInt8Array, side: int = 512) -> UInt8Array:
    """A layer in the middle of a transparent square, filling four fifths of it."""
    scale = 0.8 * side / max(layer.shape[:2])
    width, height = round(layer.shape[1] * scale), round(layer.shape[0] * scale)
    frame = np.zeros((side, side, 4), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    frame[top : top + height, left : left + width] = resize(layer, (width, height))
    return frame


def _sound(count: int, rng: np.random.Generator, drawn: bool) -> Iterator[Sample]:
    for source, share in _SHARES.items():
        wanted = round(count * share)
        if source in sources.DRAWN_BY_BACKEND:
            yield from sources.drawn(wanted if drawn else 0, int(rng.integers(2**31)), source)
        else:
            yield from (SOURCES[source](rng) for _ in range(wanted))


def _can_have(sample: Sample, kind: str) -> bool:
    if (kind in _OF_THE_MATTE or kind in NEED_RAW) and sample.raw is None:
        return False
    # What closed forms find is shown by sprites: a thin or see-through thing may be nearly empty by nature.
    return kind in APPLICABLE[sample.source] or (kind in ALPHA_CORRUPTIONS and bool(sample.label))


def _other(sample: Sample, others: Sequence[Sample]) -> str:
    """The caption of the next sample that shows something else."""
    start = next(index for index, other in enumerate(others) if other is sample)
    following = [*others[start + 1 :], *others[:start]]
    return next(other.caption for other in following if other.label != sample.label)
