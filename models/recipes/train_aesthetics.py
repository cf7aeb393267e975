"""Learns an aesthetic head from the ratings that people gave to the samples of a run.

    python -m models.recipes.train_aesthetics runs/demo -o aesthetic.safetensors

Ridge regression of the rating on the stored CLIP embedding of the whole image, ratings weighted by 1 / inclusion
probability; the penalty is that of the smallest leave-one-out error. Then configure
`filters.aesthetic: {enabled: true, head: aesthetic.safetensors}` and score again with `run … --only filters`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from filters.aesthetics import AestheticHead, write_head
from filters.clip_alignment import WHOLE_EMBEDDING
from layered.errors import UserError
from ledger.decisions import read_decisions, resolve
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from pipeline.run import existing_run

LEAST_RATINGS = 20
PENALTIES = tuple(10.0**exponent for exponent in np.arange(-3, 3.01, 0.5))

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Embeddings ``[n, dim]`` with their ratings and weights ``[n]``."""

    embeddings: Floats
    ratings: Floats
    weights: Floats


@dataclass(frozen=True, eq=False)
class Fit:
    """A head and how well it foretells ratings that it was not learned from.

    Attributes:
        foretold: each sample's rating by the head of all others, ``[n]``.
        rank_correlation: Spearman's, of the foretold and the given ratings.
    """

    weight: Floats
    bias: float
    penalty: float
    foretold: Floats
    rank_correlation: float


def ratings_of(run: RunDirectory) -> Ratings:
    """The ratings of whole samples that stand, with the embeddings stored beside their scores.

    Raises:
        UserError: when there are too few, when all are equal, or when no embeddings were stored.
    """
    index = RunIndex.load(run.storage)
    rows = []
    rated = 0
    for sample_id, decided in resolve(read_decisions(run.storage)).items():
        decision = decided.whole
        if decision is None or decision.rating is None or sample_id not in index:
            continue
        rated += 1
        embedding = index.record(sample_id).features.get(WHOLE_EMBEDDING)
        if embedding is not None:
            vector = np.frombuffer(embedding, "<f2").astype(np.float64)
            rows.append((vector / np.linalg.norm(vector), decision.rating, 1 / decision.inclusion_probability))
    if rated and not rows:
        raise UserError(f"{run.place} holds no embeddings: layerprism run CONFIG --out {run.place} --only filters")
    if len(rows) < LEAST_RATINGS or len({rating for _, rating, _ in rows}) < 2:
        raise UserError(f"{run.place} holds {len(rows)} ratings: at least {LEAST_RATINGS}, not all equal, are needed")
    embeddings, ratings, weights = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return Ratings(embeddings, ratings, weights)


def fit(found: Ratings) -> Fit:
    """The ridge regression whose penalty has the smallest weighted leave-one-out error; the bias is not penalised."""
    weights = found.weights / found.weights.sum()
    center, level = weights @ found.embeddings, float(weights @ found.ratings)
    root = np.sqrt(weights * len(weights))[:, None]
    features, targets = root * (found.embeddings - center), root[:, 0] * (found.ratings - level)
    u, singular, v = np.linalg.svd(features, full_matrices=False)
    best: tuple[float, float, Floats, Floats] | None = None
    for penalty in PENALTIES:
        shrunk = singular**2 / (singular**2 + penalty)
        # The leverage of a row with the bias among the parameters; its residual without itself follows from it.
        leverage = (u**2) @ shrunk + weights
        residual = (targets - u @ (shrunk * (u.T @ targets))) / (1 - leverage)
        error = float((residual**2).mean())
        if best is None or error < best[0]:
            slopes = v.T @ (singular / (singular**2 + penalty) * (u.T @ targets))
            best = error, penalty, slopes, found.ratings - residual / root[:, 0]
    assert best is not None
    _, penalty, slopes, foretold = best
    correlation = float(spearmanr(foretold, found.ratings).statistic)
    return Fit(slopes, level - float(center @ slopes), penalty, foretold, correlation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the safetensors file to write")
    arguments = parser.parse_args()
    session = existing_run(arguments.run)
    ratings = ratings_of(session.run)
    learned = fit(ratings)
    origin = f"{len(ratings.ratings)} ratings in {arguments.run.name}"
    clip = session.config.filters.clip.model
    write_head(arguments.output, AestheticHead(learned.weight.astype(np.float32), learned.bias, clip, origin))
    print(f"{arguments.output}: {origin}, penalty {learned.penalty:g}")
    print(f"left out one by one, foretold and given ratings have a rank correlation of {learned.rank_correlation:.2f}")
    quartiles = np.quantile(ratings.ratings, [0.25, 0.5, 0.75])
    print("quartiles of the given ratings, to choose a threshold by: " + ", ".join(f"{each:.2f}" for each in quartiles))


if __name__ == "__main__":
    main()
