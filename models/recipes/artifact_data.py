"""The artifact classifier's training pictures: sound samples from all sources, and each broken in several ways.

    python -m models.recipes.artifact_data        writes models/recipes/checkpoints/artifacts/*.safetensors

Everything is rendered once, in parts that are finished one by one; what is done already is not done again. Several
processes share the work when each is given other sources.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from filters.artifact_view import layer_view
from filters.artifacts import KINDS, NEED_RAW
from layered.errors import UserError
from models.recipes import artifact_sources as sources
from models.recipes.artifact_sources import SOURCES
from models.recipes.corruptions import APPLICABLE, CORRUPTIONS, Sample
from models.recipes.drawings import CHECKPOINTS

FOLDER: Final = CHECKPOINTS / "artifacts"
UNKNOWN: Final = 255
"""A label that says nothing: the sample might have the defect by the way, or nobody could see whether it has."""

FAILURES: Final = "failures"
TRAINING: Final = {
    "sprite": 2400, "matted": 1600, "object": 1400, "wisp": 3000, "text": 1200, "whole": 1800, "drawn": 600,
    "network": 1200, "drawn_network": 400, "photo": 2400, "figure": 1400, "cutout": 3000, "landscape": 800,
    "clipart": 7000, FAILURES: 2000,
}  # fmt: skip
"""How many sound samples of each source are asked for, and how many failures of the embedded model."""

HARD: Final = {
    "seams": {
        "sprite": 2000, "matted": 800, "network": 600, "photo": 1600, "figure": 800, "object": 1000, "whole": 4000,
        "clipart": 1000,
    },
    "lettering": {"text": 12000},
    "malformed": {
        "sprite": 8000, "matted": 3000, "photo": 4000, "network": 3000, "drawn": 1200, "drawn_network": 800,
        "clipart": 1600,
    },
    "noise": {"sprite": 600, "text": 600, "whole": 800},
    "holes": {"sprite": 600, "object": 600},
    "blur": {"whole": 600},
}  # fmt: skip
"""Kinds that are hard to see get more samples, each sound and broken, by source."""

_PART: Final = 200
_SEED: Final = 61  # the benchmark has another

# What comes along with a defect, or can hardly be told from it.
_LOOKS_LIKE: Final[dict[str, tuple[str, ...]]] = {
    "cut": ("malformed",),
    "several": ("malformed",),
    "malformed": ("several", "cut", "blur", "holes", "seams", "specks", "leftover", "halo", "noise", "lettering"),
    "lettering": ("malformed",),
    "leftover": ("halo", "specks"),
    "halo": ("leftover",),
    "holes": ("malformed", "specks"),
    "specks": ("leftover", "several"),
    "checkerboard": ("leftover", "halo", "seams"),
    "blur": ("malformed", "halo"),
    "noise": ("specks", "holes"),
    "seams": ("malformed",),
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """Views with their labels, all uint8.

    Attributes:
        picture, frame, background, known: as the network takes them, but for ``[n, h, w, c]`` and 0…255.
        labels: ``[n, kinds + 1]``: 1 where the defect (last: any) is there, 0 where not, `UNKNOWN`.
        source: index into `SOURCE_NAMES`.
        kind: index of the kind that the sample was broken by, `UNKNOWN` for a sound one.
    """

    picture: Tensor
    frame: Tensor
    background: Tensor
    known: Tensor
    labels: Tensor
    source: Tensor
    kind: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, chosen: Tensor) -> Pictures:
        return Pictures(**{name: tensor[chosen] for name, tensor in vars(self).items()})


SOURCE_NAMES: Final = tuple(APPLICABLE)


def labels_of(kinds: Iterable[str], known: bool) -> Tensor:
    """The row of labels of a sample with these defects; `known` says whether its raw is there."""
    present = list(kinds)
    row = torch.zeros(len(KINDS) + 1, dtype=torch.uint8)
    for kind in present:
        for other in _LOOKS_LIKE[kind]:
            row[KINDS.index(other)] = UNKNOWN
    for kind in present:
        row[KINDS.index(kind)] = 1
        row[-1] = 1
    return row if known else without_raw(row[None])[0]


def without_raw(labels: Tensor) -> Tensor:
    """Labels ``[n, kinds + 1]`` for those who cannot see the raw: what only it shows is unknown."""
    changed = labels.clone()
    hidden = torch.tensor([kind in NEED_RAW for kind in KINDS])
    only_hidden = (labels[:, :-1] == 1).any(1) & ~((labels[:, :-1] == 1) & ~hidden).any(1)
    changed[:, :-1][:, hidden] = UNKNOWN
    changed[only_hidden, -1] = UNKNOWN
    return changed


def pictures_of(samples: Iterable[tuple[Sample, Sequence[str]]]) -> Pictures:
    """Samples with the names of their defects as pictures; those of which nothing is visible are left out."""
    rows = []
    for sample, kinds in samples:
        view = layer_view(sample.rgba, sample.raw)
        if view is None:
            continue
        rows.append(
            (
                torch.from_numpy(view.picture),
                torch.from_numpy(view.frame),
                torch.tensor(view.background or (0, 0, 0), dtype=torch.uint8),
                torch.tensor(view.background is not None, dtype=torch.uint8),
                labels_of(kinds, view.background is not None),
                torch.tensor(SOURCE_NAMES.index(sample.source), dtype=torch.uint8),
                torch.tensor(KINDS.index(kinds[0]) if kinds else UNKNOWN, dtype=torch.uint8),
            )
        )
    return Pictures(*(torch.stack(column) for column in zip(*rows, strict=True)))


def broken(
    sample: Sample, used: dict[str, int], rng: np.random.Generator, times: int
) -> Iterator[tuple[Sample, list[str]]]:
    """The sample broken in `times` ways, rare ones first; now and then in two ways at once.

    Args:
        used: how often each kind was used up to now; is counted on.
    """
    possible = [
        kind for kind in dict.fromkeys(APPLICABLE[sample.source]) if sample.raw is not None or kind not in _OF_THE_MATTE
    ]
    for kind in sorted(possible, key=lambda kind: (used.get(kind, 0), rng.random()))[:times]:
        used[kind] = used.get(kind, 0) + 1
        kinds = [kind]
        second = possible[rng.integers(len(possible))]
        before = sample
        if rng.random() < 0.12 and second not in (kind, "lettering") and kind != "lettering":
            before = CORRUPTIONS[second](sample, rng)
            kinds += [second] if before is not sample else []
        after = CORRUPTIONS[kind](before, rng)
        if after is not before:
            yield after, kinds


_OF_THE_MATTE: Final = ("leftover", "halo", "holes", "specks")


def part(source: str, number: int, count: int, seed: int, times: int = 2) -> Pictures:
    """`count` sound samples of a source and what they are broken to, from seed, source and number alone."""
    rng = np.random.default_rng([seed, SOURCE_NAMES.index(source), number])
    used: dict[str, int] = {}

    def samples() -> Iterator[tuple[Sample, list[str]]]:
        for sample in _sound(source, count, rng):
            yield sample, []
            yield from broken(sample, used, rng, times)

    return pictures_of(samples())


def hard_part(source: str, kind: str, number: int, count: int, seed: int) -> Pictures:
    """`count` sound samples of a source, each followed by itself with one kind of defect."""
    rng = np.random.default_rng([seed, SOURCE_NAMES.index(source), KINDS.index(kind), number])

    def samples() -> Iterator[tuple[Sample, list[str]]]:
        for sample in _sound(source, count, rng):
            broken_one = sample if sample.raw is None and kind in _OF_THE_MATTE else CORRUPTIONS[kind](sample, rng)
            yield sample, []
            if broken_one is not sample:
                yield broken_one, [kind]

    return pictures_of(samples())


def _sound(source: str, count: int, rng: np.random.Generator) -> Iterator[Sample]:
    if source in sources.DRAWN_BY_BACKEND:
        yield from sources.drawn(count, int(rng.integers(2**31)), source)
    else:
        yield from (SOURCES[source](rng) for _ in range(count))


def failed_part(number: int, count: int, seed: int) -> Pictures:
    """The embedded model's own failures."""
    seeded = int(np.random.default_rng([seed, 99, number]).integers(2**31))
    return pictures_of((sample, ["malformed"]) for sample in sources.failures(count, seeded))


def build(folder: Path, seed: int, wanted: Iterable[str] = (*TRAINING, *HARD)) -> None:
    """Renders all parts of the wanted sources and hard kinds that the folder lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        if name in HARD:
            for source, count in HARD[name].items():
                _fill(folder, f"{name}-{source}", count, functools.partial(hard_part, source, name), seed)
        else:
            rendered = failed_part if name == FAILURES else functools.partial(part, name)
            _fill(folder, name, TRAINING[name], rendered, seed)


def _fill(folder: Path, name: str, count: int, rendered: Callable[[int, int, int], Pictures], seed: int) -> None:
    for number, start in enumerate(range(0, count, _PART)):
        path = folder / f"{name}-{number}.safetensors"
        if path.exists():
            continue
        pictures = rendered(number, min(_PART, count - start), seed)
        save_file({key: tensor.contiguous() for key, tensor in vars(pictures).items()}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)
        print(f"{path.name}: {len(pictures)} pictures", flush=True)


def parts(seed: int, folder: Path = FOLDER) -> Iterator[Pictures]:
    """The parts of a folder one by one, in an order of their own."""
    found = sorted(folder.glob("*.safetensors"))
    for index in np.random.default_rng(seed).permutation(len(found)).tolist():
        yield Pictures(**load_file(found[index]))


def load(folder: Path, share: tuple[int, int] = (0, 1)) -> Pictures:
    """The parts of a folder as one, read part by part, so that memory holds them once.

    Args:
        share: `(k, n)` for every n-th part from the k-th on.
    """
    paths = sorted(folder.glob("*.safetensors"))[share[0] :: share[1]]
    if not paths:
        raise UserError(f"no pictures in {folder}: run python -m models.recipes.artifact_data")
    first, counts = load_file(paths[0]), []
    for path in paths:
        with safe_open(path, "pt") as stored:
            counts.append(stored.get_slice("source").get_shape()[0])
    whole = {name: torch.empty(sum(counts), *tensor.shape[1:], dtype=torch.uint8) for name, tensor in first.items()}
    for path, end in zip(paths, np.cumsum(counts).tolist(), strict=True):
        for name, tensor in load_file(path).items():
            whole[name][end - len(tensor) : end] = tensor
    return Pictures(**whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", nargs="+", choices=[*TRAINING, *HARD], default=[*TRAINING, *HARD])
    torch.set_num_threads(1)
    try:
        build(FOLDER, _SEED, parser.parse_args().sources)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
