"""What people decided: append-only rows in ``decisions/*.parquet``, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from layered.errors import UserError
from layered.scores import WHOLE_IMAGE
from ledger.storage import Storage
from shards.parquet import read_parquet

DECISIONS_FOLDER = "decisions"
AUDIT_QUEUE = "audit"
"""The queue of samples drawn at random from all: what it says of thresholds was not chosen by any score."""

Verdict = Literal["pro", "keep", "reject", "skip", "undo"]

DECISION_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("sample_id", pa.string()),
        ("layer_index", pa.int32()),
        ("verdict", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("rating", pa.float64()),
        ("caption", pa.string()),
        ("reviewer", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("queue", pa.string()),
        ("inclusion_probability", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Decision:
    """One verdict of one person.

    Attributes:
        event_id: unique; a row that arrives twice counts once.
        layer_index: the layer's index in its sidecar record, -1 for the whole sample.
        verdict: ``skip`` decides nothing; ``undo`` takes back the reviewer's last row on the same sample and layer.
        reasons: names of defects.
        rating: a grade, or None.
        caption: a better caption for the sample or the layer; empty when the old one stays.
        at: when, with time zone.
        queue, inclusion_probability: how the sample came before the reviewer (in 0…1), for unbiased estimates.
    """

    event_id: str
    sample_id: str
    layer_index: int
    verdict: Verdict
    reasons: tuple[str, ...]
    rating: float | None
    caption: str
    reviewer: str
    at: datetime
    queue: str = ""
    inclusion_probability: float = 1.0

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict {self.verdict!r} is none of {', '.join(get_args(Verdict))}")
        if self.at.tzinfo is None:
            raise ValueError(f"decision {self.event_id} has a time without a time zone")


@dataclass(frozen=True)
class SampleDecisions:
    """What holds for one sample: the last verdict on the whole, and on each layer that has one."""

    whole: Decision | None
    layers: dict[int, Decision]

    @property
    def rejected_layers(self) -> frozenset[int]:
        return frozenset(index for index, decision in self.layers.items() if decision.verdict == "reject")


NO_DECISIONS = SampleDecisions(None, {})


def append_decisions(storage: Storage, decisions: Sequence[Decision]) -> str:
    """Stores decisions in a new file and returns its name. Files that are there are never touched."""
    rows = [{**vars(decision), "reasons": list(decision.reasons), "at": decision.at} for decision in decisions]
    table = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, DECISION_SCHEMA), table, compression="zstd")
    number = len(storage.list(DECISIONS_FOLDER))
    while True:  # another writer may have taken the number
        number += 1
        name = f"{DECISIONS_FOLDER}/{number:06d}.parquet"
        if storage.create(name, table.getvalue().to_pybytes()):
            return name


def read_decisions(storage: Storage) -> list[Decision]:
    """All decisions, each event once, in the order they were made.

    Raises:
        UserError: when a file is damaged or holds something else.
    """
    decisions: dict[str, Decision] = {}
    for name in storage.list(DECISIONS_FOLDER):
        if not name.endswith(".parquet"):
            continue
        try:
            rows = read_parquet(BytesIO(storage.read(name))).select(DECISION_SCHEMA.names).cast(DECISION_SCHEMA)
            for row in rows.to_pylist():
                decision = Decision(**{**row, "reasons": tuple(row["reasons"])})
                decisions.setdefault(decision.event_id, decision)
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{storage.describe(name)} holds no decisions ({error}): repair or remove it") from error
    return sorted(decisions.values(), key=lambda decision: (decision.at, decision.event_id))


def standing_decisions(decisions: Iterable[Decision]) -> dict[tuple[str, int], list[Decision]]:
    """What nobody took back, by sample and layer, in the order it was decided; skips are among it.

    Args:
        decisions: in the order they were made, as `read_decisions` gives them.
    """
    standing: dict[tuple[str, int], list[Decision]] = {}
    for decision in decisions:
        events = standing.setdefault((decision.sample_id, decision.layer_index), [])
        if decision.verdict == "undo":
            own = [event for event in events if event.reviewer == decision.reviewer]
            if own:
                events.remove(own[-1])
        else:
            events.append(decision)
    return standing


def resolve(decisions: Iterable[Decision]) -> dict[str, SampleDecisions]:
    """The verdict that holds for each sample and layer: the last that was neither taken back nor a skip.

    Args:
        decisions: in the order they were made, as `read_decisions` gives them.
    """
    resolved: dict[str, SampleDecisions] = {}
    for (sample_id, layer_index), events in standing_decisions(decisions).items():
        verdicts = [event for event in events if event.verdict != "skip"]
        if not verdicts:
            continue
        known = resolved.get(sample_id, NO_DECISIONS)
        if layer_index == WHOLE_IMAGE:
            resolved[sample_id] = SampleDecisions(verdicts[-1], known.layers)
        else:
            resolved[sample_id] = SampleDecisions(known.whole, {**known.layers, layer_index: verdicts[-1]})
    return resolved
