"""Chooses the thresholds of the artifact scores: few false alarms by all filters together, as many faults as possible.

    python -m benchmarks.filter_thresholds [--false-alarms 0.04]      prints a fragment for `filters`

Samples are those of `benchmarks/filter_cases.py`, of a seed that neither training nor the benchmark uses, and new
cut-outs of photographs, which have a budget of false alarms of their own. Each score could flag some samples that
others do not; false alarms are spent where they find most.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.filter_cases import SOUND, WRONG_OBJECT, Case, cases
from benchmarks.filters import flagged, scores_of
from filters.artifacts import ARTIFACT_SCORES, ArtifactsConfig
from filters.config import FiltersConfig
from models.recipes.artifact_sources import cut
from models.recipes.corruptions import ALPHA_CORRUPTIONS

SEED: Final = 977_005
PHOTOGRAPHED: Final = "photographed"
_HIGHEST: Final = 0.9  # a score that sees no fault at all must not flag
_AT_ONCE: Final = 4  # false alarms that one step may cost

Scores = Mapping[str, float]


def joint_thresholds(
    scores: Sequence[Scores],
    kinds: Sequence[str],
    flags: NDArray[np.bool_],
    false_alarms: float,
    of_photographs: float = 1.0,
) -> dict[str, float]:
    """The threshold of each artifact score.

    Greedy: of all scores that could be raised, the one is raised that finds most new faults for each new false alarm,
    until these are spent. Every kind of fault counts alike.

    Args:
        scores: of each sample, by name.
        kinds: of each sample, `SOUND`, `PHOTOGRAPHED` or its fault.
        flags: ``[n]``, samples that other scores flag.
        false_alarms: part of the sound samples that may be flagged by all scores together.
        of_photographs: part of what was cut out of photographs that may be flagged beside what other scores flag.
    """
    values = np.array([[each.get(name, 1.0) for name in ARTIFACT_SCORES] for each in scores])
    own = {kind: np.array([each == kind for each in kinds]) for kind in (SOUND, PHOTOGRAPHED)}
    budgets = [
        (own[SOUND], false_alarms * own[SOUND].sum()),
        (own[PHOTOGRAPHED], of_photographs * own[PHOTOGRAPHED].sum() + (own[PHOTOGRAPHED] & flags).sum()),
    ]
    sound = np.any([members for members, _ in budgets], axis=0)
    counts = {kind: kinds.count(kind) for kind in kinds}
    worth = np.array([0.0 if good else 1 / counts[kind] for kind, good in zip(kinds, sound, strict=True)])
    ladders = [np.append(np.sort(values[sound, column]), 1.0) for column in range(len(ARTIFACT_SCORES))]
    steps = [0] * len(ladders)
    found = flags.copy()
    for column, ladder in enumerate(ladders):
        found |= values[:, column] < min(ladder[0], _HIGHEST)
    while True:
        best, most = None, 0.0
        for column, ladder in enumerate(ladders):
            for step in range(steps[column] + 1, min(steps[column] + _AT_ONCE, len(ladder) - 1) + 1):
                new = (values[:, column] < min(ladder[step], _HIGHEST)) & ~found
                gain = float(worth[new].sum()) / max(int((new & sound).sum()), 0.5)
                if gain > most and all(((found | new) & members).sum() <= allowed for members, allowed in budgets):
                    best, most = (column, step), gain
        if best is None:
            break
        column, steps[column] = best[0], best[1]
        found |= values[:, column] < min(ladders[column][steps[column]], _HIGHEST)
    return {
        name: float(np.floor(1000 * min(ladder[step], _HIGHEST)) / 1000)
        for name, ladder, step in zip(ARTIFACT_SCORES, ladders, steps, strict=True)
    }


def photographed(count: int) -> list[Case]:
    """Sound cut-outs of photographs, of the seed that chooses thresholds."""
    rng = np.random.default_rng(SEED)
    return [Case(cut(rng), PHOTOGRAPHED) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--false-alarms", type=float, default=0.04, help="of all filters together, on sound samples")
    parser.add_argument("--model", default=ArtifactsConfig().model, help="another classifier's folder")
    parser.add_argument("--sound", type=int, default=2400)
    parser.add_argument("--broken", type=int, default=200)
    parser.add_argument("--photographed", type=int, default=600, help="sound cut-outs of photographs")
    parser.add_argument(
        "--of-photographs", type=float, default=0.005, help="part of these that artifact scores may flag"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = FiltersConfig(artifacts=ArtifactsConfig(model=arguments.model))
    found = [case for case in cases(arguments.sound, arguments.broken, SEED) if case.kind != WRONG_OBJECT]
    found += photographed(arguments.photographed)
    kinds = [case.kind for case in found]
    scores = [scores_of(case.sample, config, None) for case in found]
    others = {name: value for name, value in config.thresholds().items() if name not in ARTIFACT_SCORES}
    flags = np.array([bool(flagged(each, others)) for each in scores])
    thresholds = joint_thresholds(scores, kinds, flags, arguments.false_alarms, arguments.of_photographs)
    for name, value in thresholds.items():
        print(f"  {name}: {{threshold: {value}}}")
    caught = np.array([bool(flagged(each, others | thresholds)) for each in scores])
    for kind in dict.fromkeys(kind for kind in kinds if kind not in ALPHA_CORRUPTIONS):
        print(f"{kind}: {caught[[each == kind for each in kinds]].mean():.3f} flagged")


if __name__ == "__main__":
    main()
