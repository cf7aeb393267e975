import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from curation.agreement import agreement_json, cohen_kappa, krippendorff_alpha
from curation.intervals import Share
from tests.ledger.runs import on, sample_id

CODERS = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]
"""Four coders and twelve units: the example of Krippendorff (2011), whose alphas are 0.743 nominal, 0.815 ordinal."""

UNITS = [[int(value) for value in unit if value != "."] for unit in zip(*(row.split() for row in CODERS), strict=True)]


@pytest.mark.parametrize(("ordinal", "alpha"), [(False, 0.743), (True, 0.815)])
def test_alpha_is_that_of_krippendorffs_own_example(ordinal: bool, alpha: float) -> None:
    assert krippendorff_alpha(UNITS, ordinal) == pytest.approx(alpha, abs=5e-4)


def test_alpha_says_nothing_about_too_little() -> None:
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([[1], [2]]) is None
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 3, 60)
    second = np.where(rng.random(60) < 0.6, first, rng.integers(0, 3, 60))
    assert cohen_kappa(first.tolist(), second.tolist()) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_says_nothing_about_constant_verdicts() -> None:
    assert cohen_kappa([True] * 5, [True] * 5) is None
    assert cohen_kappa([], []) is None


@pytest.mark.parametrize(("count", "total"), [(0, 5), (5, 5), (3, 7), (90, 100), (1, 1)])
def test_intervals_are_wilsons(count: int, total: int) -> None:
    wanted = binomtest(count, total).proportion_ci(0.95, method="wilson")
    assert Share(count, total).interval == pytest.approx((wanted.low, wanted.high))


def test_nothing_counted_says_nothing() -> None:
    assert Share(0, 0).as_json() == {"count": 0, "total": 0, "share": None, "interval": [0.0, 1.0]}


def test_the_report_counts_each_reviewers_last_word() -> None:
    decisions = [
        *(on(number, number, "keep") for number in range(4)),
        *(on(number, 10 + number, "keep" if number else "reject", reviewer="bob") for number in range(4)),
        on(3, 20, "reject"),
        on(3, 21, "undo"),
        on(5, 22, "skip", reviewer="bob"),
        on(1, 23, "reject", layer=0),
    ]
    report = agreement_json(decisions, {})
    assert [(each["name"], each["decided"]) for each in report["reviewers"]] == [("ann", 4), ("bob", 4)]
    (pair,) = report["pairs"]
    assert (pair["samples"], pair["same"]["count"]) == (4, 3)
    assert report["krippendorff"]["samples"] == 4


def test_repeats_are_compared_with_the_first_time() -> None:
    decisions = [
        on(1, 1, "keep"),
        on(2, 2, "reject"),
        on(1, 3, "pro", queue="repeat"),
        on(2, 4, "keep", queue="repeat"),
        on(3, 5, "keep"),
        on(3, 6, "reject"),
    ]
    (own,) = agreement_json(decisions, {})["self"]
    assert (own["same"]["count"], own["same"]["total"]) == (1, 2), "changing one's mind is no repeat"


def test_the_audit_tells_how_good_the_filters_are() -> None:
    passed = {sample_id(number): number < 6 for number in range(10)}
    decisions = [on(number, number, "reject" if number in (5, 8) else "keep", queue="audit") for number in range(10)]
    decisions.append(on(9, 30, "reject", queue="undecided"))
    audit = agreement_json(decisions, passed)["audit"]
    assert (audit["passed"]["count"], audit["passed"]["total"]) == (5, 6)
    assert (audit["flagged"]["count"], audit["flagged"]["total"]) == (3, 4)
