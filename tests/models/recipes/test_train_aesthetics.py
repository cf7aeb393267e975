"""An aesthetic head from ratings: the ridge regression of scikit-learn, told by ratings it has not seen."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from filters.aesthetics import read_head
from layered.errors import UserError
from ledger.commit import ChunkRevision, encode_sample, write_chunk
from ledger.run_directory import RunDirectory
from models.recipes.train_aesthetics import LEAST_RATINGS, Ratings, fit, main, ratings_of
from tests.ledger.runs import on, plan_bytes
from tests.pipeline.labelled_run import INFO, decide
from tests.shards.samples import make_sample

SIZE = 16
TASTE = np.linspace(-2, 2, SIZE)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(0, 1, (count, SIZE))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def rated(count: int, noise: float, seed: int = 0) -> Ratings:
    embeddings = vectors(count, seed)
    rng = np.random.default_rng(seed + 1)
    return Ratings(embeddings, 5 + embeddings @ TASTE + noise * rng.normal(0, 1, count), rng.uniform(1, 4, count))


def test_it_is_the_ridge_regression_of_scikit_learn() -> None:
    data = rated(60, 0.5)
    found = fit(data)
    weights = data.weights / data.weights.mean()
    ridge = Ridge(found.penalty).fit(data.embeddings, data.ratings, sample_weight=weights)
    assert found.weight == pytest.approx(ridge.coef_, abs=1e-6)
    assert found.bias == pytest.approx(ridge.intercept_, abs=1e-6)
    even = Ratings(data.embeddings, data.ratings, np.ones(60))
    foretold = cross_val_predict(Ridge(fit(even).penalty), data.embeddings, data.ratings, cv=LeaveOneOut())
    assert fit(even).foretold == pytest.approx(foretold, abs=1e-6)


def test_taste_is_foretold_and_chance_is_not() -> None:
    assert fit(rated(120, 0.3)).rank_correlation > 0.8
    random = Ratings(vectors(120), np.random.default_rng(9).normal(5, 1, 120), np.ones(120))
    assert fit(random).rank_correlation < 0.3


def run_with_ratings(path: Path, count: int, embedded: bool = True) -> RunDirectory:
    run = RunDirectory.create(path, INFO, plan_bytes(count))
    samples = []
    for number, vector in enumerate(vectors(count)):
        image, sidecar = make_sample(number)
        features = {"clip_whole": vector.astype("<f2").tobytes()} if embedded else {}
        samples.append(encode_sample(image, sidecar, {}, (), features))
    write_chunk(run.storage, ChunkRevision(0), samples)
    decide(run, *(on(n, n, "keep", rating=float(5 + vector @ TASTE)) for n, vector in enumerate(vectors(count))))
    return run


def test_the_command_learns_what_people_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_with_ratings(tmp_path / "run", 60)
    monkeypatch.setattr(sys, "argv", ["train", str(run.path), "-o", str(tmp_path / "head.safetensors")])
    main()
    head = read_head(tmp_path / "head.safetensors")
    assert (head.clip, head.origin) == ("layerprism-tiny", "60 ratings in run")
    fresh = vectors(50, seed=5).astype(np.float32)
    assert np.corrcoef([head.rate(each) for each in fresh], fresh @ TASTE)[0, 1] > 0.99


def test_ratings_that_are_not_enough_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"holds 5 ratings: at least {LEAST_RATINGS}"):
        ratings_of(run_with_ratings(tmp_path / "few", 5))
    with pytest.raises(UserError, match="holds no embeddings"):
        ratings_of(run_with_ratings(tmp_path / "bare", 30, embedded=False))
