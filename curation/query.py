"""Filtering and sorting a run: from what the page asks for to the rows that match, in order.

A result is a snapshot: the grid does not move under a curator's hands while verdicts come in.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from curation.columns import Columns
from curation.errors import bad_request, not_found
from curation.verdicts import REASON_BITS, VERDICT_CODES, Verdicts

HISTOGRAM_BINS: Final = 48
_KEPT_RESULTS: Final = 24
_MOST_WORDS: Final = 12
_PLAIN_KEYS: Final = frozenset({"plan", "style", "layers", "decision", "rating", "decided", "random"})

Rows = NDArray[np.int32]
VerdictName = Literal["undecided", "skip", "reject", "keep", "pro"]


class SortKey(BaseModel):
    """One column to sort by: ``plan``, ``style``, ``layers``, ``decision``, ``rating``, ``decided``, ``threshold`` (how
    near to it), ``random`` or a score. What a sample does not have comes last either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str
    descending: bool = False

    @property
    def of_scores(self) -> bool:
        """Whether the order tells something of scores."""
        return self.by not in _PLAIN_KEYS


class QueryRequest(BaseModel):
    """What the grid shows; all conditions hold together.

    Attributes:
        queue: only samples that are waiting in this queue, in its order unless `sort` says otherwise.
        text: words that all occur in the whole caption, or a part of a sample's id.
        layers: least and most layers.
        decisions: any of these verdicts.
        passed: by the filters' thresholds.
        reasons: any of these defects was named.
        scores: by name the least and the most of the sample's worst value; None leaves an end open.
        group: ``duplicates`` shows samples that look alike, group by group.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: str | None = None
    text: Annotated[str, Field(max_length=500)] | None = None
    styles: tuple[str, ...] = ()
    layers: tuple[int | None, int | None] | None = None
    decisions: tuple[VerdictName, ...] = ()
    passed: bool | None = None
    reasons: tuple[str, ...] = ()
    scores: dict[str, tuple[float | None, float | None]] = {}
    group: Literal["duplicates"] | None = None
    sort: tuple[SortKey, ...] = ()


@dataclass(frozen=True)
class Result:
    """The rows that matched, in order; `revision` is that of the verdicts at that time.

    Attributes:
        blind: the queue that hides scores and verdicts of its samples; empty for any other result.
    """

    rows: Rows
    revision: int
    blind: str = ""


@dataclass(frozen=True)
class Histogram:
    """How many samples of a result have a score between two edges; the edges are those of all samples."""

    edges: list[float]
    counts: list[int]


class Results:
    """The last results by a name that cannot be guessed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Result] = OrderedDict()

    def keep(self, result: Result) -> str:
        name = secrets.token_urlsafe(9)
        self._kept[name] = result
        while len(self._kept) > _KEPT_RESULTS:
            self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> Result:
        """Raises RequestError for one that is no longer kept: the page asks again then."""
        result = self._kept.get(name)
        if result is None:
            raise not_found("this result is no longer kept: ask again")
        self._kept.move_to_end(name)
        return result


def run_query(
    request: QueryRequest,
    columns: Columns,
    verdicts: Verdicts,
    groups: NDArray[np.int32] | None = None,
    waiting: Rows | None = None,
) -> Rows:
    """The rows that match, in order.

    Args:
        groups: number of each row's group of near-duplicates, -1 for none; needed for ``group``.
        waiting: the rows of ``queue`` in its order; needed for that.

    Raises:
        RequestError: when the request names a style, score, reason or column that there is not.
    """
    mask = np.ones(len(columns), bool)
    if request.styles:
        mask &= np.isin(columns.style, _numbers(request.styles, columns.styles, "style"))
    if request.layers is not None:
        mask &= _between(columns.layers, *request.layers)
    if request.decisions:
        mask &= np.isin(verdicts.verdict, [VERDICT_CODES.index(name) for name in request.decisions])
    if request.passed is not None:
        mask &= columns.passed == request.passed
    if request.reasons:
        bits = sum(REASON_BITS[name] for name in _known(request.reasons, REASON_BITS, "reason"))
        mask &= (verdicts.reasons & np.uint64(bits)) != 0
    for name, (low, high) in request.scores.items():
        mask &= _between(columns.worst[_known((name,), columns.worst, "score")[0]], low, high)
    for word in (request.text or "").lower().split()[:_MOST_WORDS]:
        mask &= _containing(columns, word)
    if request.group is not None:
        if groups is None:
            raise bad_request("near-duplicates are still being looked for: ask again in a moment")
        mask &= groups >= 0
    if waiting is not None:
        rows: Rows = waiting[mask[waiting]]
    else:
        rows = np.flatnonzero(mask).astype(np.int32)
    keys: list[NDArray[Any]] = [_sort_values(key, columns, verdicts)[rows] for key in request.sort]
    if waiting is None or keys:
        keys.append(columns.place[rows])
    if request.group is not None and groups is not None:
        keys.insert(0, _group_order(groups, columns.place)[rows])
    # Of equals, and without any key, the rows stay as they stand.
    return rows[np.lexsort(keys[::-1])] if keys else rows


def histogram(rows: Rows, values: NDArray[np.float32], low: float, high: float) -> Histogram:
    """Counts of a result's finite values in bins from `low` to `high`, which are those of all samples."""
    edges = np.linspace(low, high if high > low else low + 1, HISTOGRAM_BINS + 1)
    chosen = values[rows]
    counts, _ = np.histogram(chosen[np.isfinite(chosen)], edges)
    return Histogram([float(edge) for edge in edges], [int(count) for count in counts])


def _between(values: NDArray[Any], low: float | None, high: float | None) -> NDArray[np.bool_]:
    """NaN lies nowhere."""
    mask = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
    # Compared in the column's own precision: an end that was read from the column includes the value it came from.
    if low is not None:
        mask &= values >= values.dtype.type(low)
    if high is not None:
        mask &= values <= values.dtype.type(high)
    return mask


def _containing(columns: Columns, word: str) -> NDArray[np.bool_]:
    found = pc.match_substring(columns.captions, word)
    mask = np.concatenate(
        [chunk.to_numpy(zero_copy_only=False).astype(bool) for chunk in found.chunks] or [np.empty(0, bool)]
    )
    if any(character.isdigit() for character in word):
        ids = pc.match_substring(pa.array(columns.ids, pa.string()), word)
        mask |= ids.to_numpy(zero_copy_only=False).astype(bool)
    return mask


def _sort_values(key: SortKey, columns: Columns, verdicts: Verdicts) -> NDArray[np.float64]:
    values: NDArray[Any]
    if key.by == "plan":
        values = columns.place
    elif key.by == "style":
        values = np.argsort(np.argsort(columns.styles)).astype(np.float64)[columns.style]
    elif key.by == "layers":
        values = columns.layers
    elif key.by == "decision":
        values = np.where(verdicts.verdict == 0, np.nan, verdicts.verdict.astype(np.float64))
    elif key.by == "rating":
        values = verdicts.rating
    elif key.by == "decided":
        values = np.where(verdicts.at == 0, np.nan, verdicts.at)
    elif key.by == "threshold":
        values = columns.threshold_distance()
    elif key.by == "random":
        values = np.random.default_rng(0).random(len(columns))
    else:
        values = columns.worst[_known((key.by,), columns.worst, "score")[0]]
    numbers = values.astype(np.float64)
    return -numbers if key.descending else numbers  # lexsort puts NaN last


def _group_order(groups: NDArray[np.int32], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row the plan's place of the first sample of its group."""
    first = np.full(int(groups.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    member = groups >= 0
    np.minimum.at(first, groups[member], place[member])
    order = place.copy()
    order[member] = first[groups[member]]
    return order


def _numbers(names: tuple[str, ...], known: list[str], what: str) -> list[int]:
    return [known.index(name) for name in _known(names, known, what)]


def _known(names: tuple[str, ...], known: object, what: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:  # type: ignore[operator]
            raise bad_request(f"there is no {what} {name[:64]!r}")
    return names
