"""How far reviewers agree with each other, with themselves and with the filters.

Cohen's kappa (1960) for two reviewers; Krippendorff's alpha ("Computing Krippendorff's Alpha-Reliability", 2011) for
any number of them with gaps. 1 is full agreement, 0 what chance gives; None where nothing can be said, because too
little was judged twice or everything was judged alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, Final

from curation.intervals import Share
from curation.queues import REPEAT_QUEUE
from layered.scores import WHOLE_IMAGE
from ledger.decisions import AUDIT_QUEUE, Decision, standing_decisions

RANKS: Final[Mapping[str, int]] = {"reject": 0, "keep": 1, "pro": 2}
"""Verdicts from worst to best; others judge nothing."""


def agreement_json(decisions: Sequence[Decision], passed: Mapping[str, bool]) -> dict[str, Any]:
    """The report of agreement on whole samples.

    Args:
        decisions: all events in order.
        passed: whether the filters' thresholds let a sample pass, of all samples of the run.
    """
    standing = {
        sample_id: [event for event in events if event.verdict in RANKS]
        for (sample_id, layer), events in standing_decisions(decisions).items()
        if layer == WHOLE_IMAGE
    }
    last = {sample_id: {event.reviewer: event.verdict for event in events} for sample_id, events in standing.items()}
    reviewers = sorted({name for verdicts in last.values() for name in verdicts})
    good = [[verdict != "reject" for verdict in verdicts.values()] for verdicts in last.values()]
    ranks = [[RANKS[verdict] for verdict in verdicts.values()] for verdicts in last.values()]
    pairs = [_pair(one, other, last) for one, other in combinations(reviewers, 2)]
    kappas = [pair["cohen"] for pair in pairs if pair["cohen"] is not None]
    return {
        "reviewers": [_reviewer(name, last) for name in reviewers],
        "pairs": [pair for pair in pairs if pair["samples"]],
        "cohen": sum(kappas) / len(kappas) if kappas else None,
        "krippendorff": {
            "good_or_bad": krippendorff_alpha(good),
            "verdicts": krippendorff_alpha(ranks, ordinal=True),
            "samples": sum(len(verdicts) > 1 for verdicts in last.values()),
        },
        "self": [_repeats(name, standing) for name in reviewers],
        "audit": _audit(standing, passed),
    }


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement of two reviewers on the same samples, beyond what their own habits give by chance."""
    count = len(first)
    if not count:
        return None
    observed = sum(one == other for one, other in zip(first, second, strict=True)) / count
    ours, theirs = Counter(first), Counter(second)
    expected = sum(ours[label] * theirs[label] for label in ours) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(units: Iterable[Sequence[int]], ordinal: bool = False) -> float | None:
    """Agreement of any number of reviewers.

    Args:
        units: for each sample the values it was given, by whomever; samples with fewer than two do not count.
        ordinal: values have an order, and near ones contradict each other less.
    """
    judged = [unit for unit in units if len(unit) > 1]
    totals = Counter(value for unit in judged for value in unit)
    values, count = sorted(totals), sum(totals.values())
    if not judged or len(values) < 2:
        return None

    def distance(low: int, high: int) -> float:
        if not ordinal:
            return float(low != high)
        between = sum(totals[value] for value in values if low <= value <= high)
        return (between - (totals[low] + totals[high]) / 2) ** 2

    distances = {(low, high): distance(low, high) for low, high in combinations(values, 2)}
    observed = 0.0
    for unit in judged:
        counts = Counter(unit)
        pairs = sum(counts[low] * counts[high] * each for (low, high), each in distances.items())
        observed += 2 * pairs / (len(unit) - 1)
    expected = 2 * sum(totals[low] * totals[high] * each for (low, high), each in distances.items())
    return 1 - (count - 1) * observed / expected


def _reviewer(name: str, last: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    verdicts = Counter(verdicts[name] for verdicts in last.values() if name in verdicts)
    return {"name": name, "decided": verdicts.total(), "verdicts": {each: verdicts[each] for each in RANKS}}


def _pair(one: str, other: str, last: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    both = [(verdicts[one], verdicts[other]) for verdicts in last.values() if one in verdicts and other in verdicts]
    good = [(first != "reject", second != "reject") for first, second in both]
    return {
        "a": one,
        "b": other,
        "samples": len(both),
        "same": Share(sum(first == second for first, second in good), len(good)).as_json(),
        "cohen": cohen_kappa([first for first, _ in good], [second for _, second in good]),
        "cohen_verdicts": cohen_kappa([first for first, _ in both], [second for _, second in both]),
    }


def _repeats(name: str, standing: Mapping[str, Sequence[Decision]]) -> dict[str, Any]:
    """What a reviewer said of a sample that came again, against what the same reviewer had said before."""
    before_and_after = []
    for events in standing.values():
        own = [event for event in events if event.reviewer == name]
        for before, after in pairwise(own):
            if after.queue == REPEAT_QUEUE:
                before_and_after.append((before.verdict != "reject", after.verdict != "reject"))
    same = sum(before == after for before, after in before_and_after)
    return {
        "reviewer": name,
        "same": Share(same, len(before_and_after)).as_json(),
        "cohen": cohen_kappa([before for before, _ in before_and_after], [after for _, after in before_and_after]),
    }


def _audit(standing: Mapping[str, Sequence[Decision]], passed: Mapping[str, bool]) -> dict[str, Any]:
    """How many of the samples that the filters passed, and of those they flagged, are good, by the random audit."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for sample_id, events in standing.items():
        audited = [event for event in events if event.queue == AUDIT_QUEUE]
        if audited and sample_id in passed:
            counts[passed[sample_id], audited[-1].verdict != "reject"] += 1
    return {
        name: Share(counts[state, True], counts[state, True] + counts[state, False]).as_json()
        for name, state in (("passed", True), ("flagged", False))
    }
