"""The judge: its protocol, its matching, and whether the shipped one is as good as its file says."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.judge import MARGIN, SIDE, Judge, canonical, load_judge
from layered.errors import UserError
from models.vocabulary import load_vocabulary


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_the_canonical_view_does_not_depend_on_the_empty_frame(width: int, height: int, left: int, top: int) -> None:
    layer = np.zeros((height, width, 4), np.uint8)
    layer[...] = (200, 30, 60, 255)
    framed = np.zeros((height + top + 7, width + left + 5, 4), np.uint8)
    framed[top : top + height, left : left + width] = layer
    view = canonical(framed)
    assert view.shape == (SIDE, SIDE, 3)
    assert (view == canonical(layer)).all()
    assert (view[0] == 128).all()
    shown = np.abs(view.astype(int) - 128).max(axis=2) > 40
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    assert max(len(rows), len(columns)) == SIDE - 2 * MARGIN


def test_what_is_invisible_says_nothing(judge: Judge) -> None:
    scores = judge.log_probabilities([np.zeros((5, 9, 4), np.uint8)])
    np.testing.assert_allclose(scores, -np.log(len(judge.labels)), rtol=1e-6)
    assert judge.log_probabilities([]).shape == (0, len(judge.labels))


def test_its_labels_are_the_vocabularys(judge: Judge) -> None:
    assert judge.labels == load_vocabulary().labels
    with pytest.raises(UserError, match="zorp"):
        judge.index("zorp")


def test_it_states_a_sufficient_validity(judge: Judge) -> None:
    assert judge.validity["top1_concepts"] >= 0.95
    assert judge.validity["swaps"] >= 0.95


def test_the_stated_validity_is_true(judge: Judge, emoji_font: None) -> None:
    from models.recipes.sprites import place

    labels = judge.labels[: len(load_vocabulary().concepts)]
    layers = [np.asarray(place(label, "cartoon", 0.6, (0.07, -0.05), 96)) for label in labels]
    named = judge.best_labels(layers)
    assert np.mean([a == b for a, b in zip(named, labels, strict=True)]) >= judge.validity["top1_concepts"] - 0.03


def test_rank_counts_what_stands_before(judge: Judge, emoji_font: None) -> None:
    from models.recipes.sprites import place

    layer = np.asarray(place("zebra", "cartoon", 0.8, (0.0, 0.0)))
    ranks = sorted(judge.rank(layer, label) for label in judge.labels)
    assert judge.rank(layer, "zebra") == 1
    assert ranks == list(range(1, len(judge.labels) + 1))


def test_matching_is_the_best_of_all_assignments(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = [judge.labels[index] for index in (3, 77, 150, 9)]
    for layers in (3, 4, 6):
        gain = rng.normal(size=(layers, len(judge.labels))).astype(np.float32)
        monkeypatch.setattr(Judge, "log_probabilities", lambda self, _, gain=gain: gain)
        columns = [judge.index(label) for label in labels]
        found = judge.match([np.zeros((1, 1, 4), np.uint8)] * layers, labels)
        taken = [layer for layer in found if layer >= 0]
        assert len(set(taken)) == len(taken) == min(layers, len(labels))
        reached = sum(gain[layer, column] for layer, column in zip(found, columns, strict=True) if layer >= 0)
        if layers >= len(labels):
            orders = itertools.permutations(range(layers), len(labels))
            best = max(sum(gain[order, columns]) for order in map(list, orders))
        else:
            orders = itertools.permutations(columns, layers)
            best = max(sum(gain[range(layers), list(order)]) for order in orders)
        assert reached == pytest.approx(best, abs=1e-4)


def test_a_folder_without_a_judge_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"judge\.json"):
        load_judge(tmp_path)
