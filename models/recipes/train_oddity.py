"""Fits the artifact classifier's second opinion, `artifact_oddity`, and writes it beside the classifier.

    python -m models.recipes.train_oddity      needs what models.recipes.artifact_data rendered; takes three minutes

It learns from sound pictures of every source and from nothing else: every kind of fault is one it has never seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.cluster import MiniBatchKMeans

from filters.artifact_oddity import Oddity, save_oddity, standardised
from filters.artifact_statistics import STATISTICS, statistics_of
from layered.arrays import FloatArray
from models import TINY
from models.recipes import artifact_data
from models.recipes.artifact_data import SOURCE_NAMES, Pictures
from models.recipes.drawings import CHECKPOINTS

STORED: Final = CHECKPOINTS / "artifact-statistics.safetensors"
_SEED: Final = 67
_EACH: Final = 2000  # sound pictures of a source
_OF_A_PART: Final = 150
_REFERENCES: Final = 3000
_STEPS: Final = 201


def sound_statistics(parts: Iterable[Pictures], seed: int, each: int) -> FloatArray:
    """Statistics ``[n, k]`` of so many sound pictures of each source, or all it has; not many of any part."""
    rng = np.random.default_rng(seed)
    missing = dict.fromkeys(range(len(SOURCE_NAMES)), each)
    rows = []
    for pictures in parts:
        sound = (pictures.labels[:, -1] == 0).numpy()
        for source in np.unique(pictures.source.numpy()).tolist():
            own = np.flatnonzero((pictures.source == source).numpy() & sound)
            chosen = rng.permutation(own)[: min(missing[source], _OF_A_PART)]
            missing[source] -= len(chosen)
            rows += [statistics_of(pictures.picture[index].numpy()) for index in chosen]
    return np.stack(rows)


def fit(statistics: FloatArray, references: int = _REFERENCES) -> Oddity:
    """What sound pictures are like, from the statistics of some, ``[n, k]``.

    Four fifths of them are put into up to `references` clusters, whose middles are kept; the last fifth says how far
    sound pictures are from these.
    """
    places = np.random.default_rng(_SEED).permutation(len(statistics))
    known, judged = np.split(statistics[places], [4 * len(places) // 5])
    mean, deviation = known.mean(axis=0), known.std(axis=0) + np.float32(1e-3)
    clusters = MiniBatchKMeans(min(references, len(known)), batch_size=4096, n_init=1, max_iter=20, random_state=_SEED)
    near = clusters.fit(standardised(known, mean, deviation)).cluster_centers_.astype(np.float32)
    distance = Oddity(mean, deviation, near, np.zeros(1, np.float32)).distance(judged)
    return Oddity(mean, deviation, near, np.quantile(distance, np.linspace(0, 1, _STEPS)).astype(np.float32))


def stored_statistics(path: Path = STORED) -> FloatArray:
    """Statistics of the rendered pictures, computed once."""
    if not path.exists():
        save_file({"sound": sound_statistics(artifact_data.parts(_SEED), _SEED, _EACH)}, path)
    statistics: FloatArray = load_file(path)["sound"]
    return statistics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TINY / "artifacts", help="the classifier's folder")
    arguments = parser.parse_args()
    statistics = stored_statistics()
    save_oddity(fit(statistics), arguments.out)
    print(f"{len(STATISTICS)} statistics of {len(statistics)} sound pictures")


if __name__ == "__main__":
    main()
