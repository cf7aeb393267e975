"""Fitting oddity: from sound pictures alone, which it ranks evenly; what is unlike them comes last."""

import numpy as np
import pytest

from filters.artifact_statistics import STATISTICS
from models.recipes.artifact_data import pictures_of
from models.recipes.corruptions import CORRUPTIONS, Sample
from models.recipes.train_oddity import fit, sound_statistics
from tests.filters.drawings import COLORS, KINDS, drawing, raw_of


def test_sound_pictures_are_ranked_evenly_and_far_ones_last() -> None:
    rng = np.random.default_rng(5)
    oddity = fit(rng.normal(0, 1, (900, len(STATISTICS))).astype(np.float32), references=300)
    assert oddity.references.shape == (300, len(STATISTICS))
    unseen = rng.normal(0, 1, (400, len(STATISTICS))).astype(np.float32)
    sound = oddity.soundness_of(unseen)
    assert 0.35 < np.median(sound) < 0.65
    assert 0.01 < (sound < 0.05).mean() < 0.12
    unseen[:, 3] += 9
    assert np.median(oddity.soundness_of(unseen)) < 0.1


@pytest.mark.usefixtures("emoji_font")
def test_only_sound_pictures_are_looked_at_so_many_of_each_source() -> None:
    rng = np.random.default_rng(1)
    samples: list[tuple[Sample, list[str]]] = []
    for number in range(14):
        rgba = drawing(KINDS[number % 5], COLORS[number % 6], 0.7)
        sample = Sample("sprite" if number < 9 else "object", rgba, raw_of(rgba))
        samples += [(sample, []), (CORRUPTIONS["blur"](sample, rng), ["blur"])]
    pictures = pictures_of(samples)
    found = sound_statistics([pictures], 1, 6)
    assert found.shape == (6 + 5, len(STATISTICS))
    assert np.array_equal(found, sound_statistics([pictures], 1, 6))
    assert len(sound_statistics([pictures] * 3, 1, 11)) == 11 + 11
    column = STATISTICS.index("steepest")
    blurred = sound_statistics([pictures_of([(sample, []) for sample, kinds in samples if kinds])], 1, 6)
    assert (found[:, column] > blurred[:, column] + 1).all()
