"""Verdicts to calibrate by: people's decisions in a run, or a labels file from elsewhere.

``pro`` and ``keep`` are good, ``reject`` is bad; ``skip`` decides nothing and ``undo`` takes a verdict back, as
`ledger.decisions.resolve` has it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.taxonomy import check_reasons
from layered.errors import UserError
from layered.scores import WHOLE_IMAGE
from ledger.decisions import DECISIONS_FOLDER, Decision, read_decisions, resolve
from ledger.run_directory import RunDirectory
from shards.parquet import read_parquet

_VERDICTS = {"pro": True, "keep": True, "reject": False}
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_COLUMNS = ("sample_id", "layer_index", "good", "verdict", "reasons", "queue", "inclusion_probability")


@dataclass(frozen=True)
class Label:
    """What a person says of a sample or of one layer.

    Attributes:
        layer_index: -1 for the whole sample.
        good: a person keeps it.
        reasons: names of `filters.taxonomy.DEFECTS`.
        inclusion_probability: that this sample came to be looked at, in 0…1 without 0.
        place: where it stands, for messages.
    """

    sample_id: str
    layer_index: int
    good: bool
    reasons: tuple[str, ...] = ()
    queue: str = ""
    inclusion_probability: float = 1.0
    place: str = ""


def labels_of_run(run: RunDirectory) -> list[Label]:
    """The verdicts that stand in a run's decisions.

    Raises:
        UserError: when there are none, when a reason has no name, or a probability is impossible.
    """
    folder = run.storage.describe(DECISIONS_FOLDER)
    labels = []
    for sample_id, decided in resolve(read_decisions(run.storage)).items():
        verdicts = [*decided.layers.items()]
        if decided.whole is not None:
            verdicts.append((WHOLE_IMAGE, decided.whole))
        labels += [_of_decision(sample_id, layer, decision, folder) for layer, decision in verdicts]
    if not labels:
        raise UserError(f"{folder} holds no verdict: review samples first, or give labels with --labels FILE")
    return labels


def read_labels(path: Path) -> list[Label]:
    """The labels of a CSV or Parquet file with the columns ``sample_id``, ``good`` or ``verdict`` and, where wanted,
    ``layer_index``, ``reasons`` (in CSV with ``;`` between them), ``queue``, ``inclusion_probability``.

    Raises:
        UserError: with file and line, when the file or one of its labels cannot be used.
    """
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _parquet_rows(path)
    labels: dict[tuple[str, int], Label] = {}
    for place, row in rows:
        label = _of_row(row, place)
        if label is None:
            continue
        before = labels.setdefault((label.sample_id, label.layer_index), label)
        if before.good != label.good:
            what = f"sample {label.sample_id}" + (f", layer {label.layer_index}" if label.layer_index >= 0 else "")
            raise UserError(f"{place}: {what} is good and bad, see {before.place}: leave one of both")
    if not labels:
        raise UserError(f"{path} holds no label: give rows with sample_id and good (true or false)")
    return list(labels.values())


def _of_decision(sample_id: str, layer_index: int, decision: Decision, folder: str) -> Label:
    place = f"{folder}: decision {decision.event_id}"
    check_reasons(decision.reasons, place)
    good = _VERDICTS[decision.verdict]
    probability = _probability(decision.inclusion_probability, place)
    return Label(sample_id, layer_index, good, decision.reasons, decision.queue, probability, place)


def _of_row(row: Mapping[str, Any], place: str) -> Label | None:
    """A row's label; None for a verdict that decides nothing."""
    sample_id = str(row.get("sample_id") or "").strip()
    if not sample_id:
        raise UserError(f"{place}: the sample_id is missing")
    if _given(row.get("good")):
        good = _TRUTHS.get(str(row["good"]).strip().lower())
        if good is None:
            raise UserError(f"{place}: good is {row['good']!r}: give true or false")
    else:
        verdict = str(row.get("verdict") or "").strip().lower()
        if verdict == "skip":
            return None
        if verdict not in _VERDICTS:
            raise UserError(
                f"{place}: the verdict is {verdict!r}: give {', '.join(_VERDICTS)} or skip, or a column good"
            )
        good = _VERDICTS[verdict]
    reasons = row.get("reasons") or ()
    if isinstance(reasons, str):
        reasons = [reason.strip() for reason in reasons.split(";") if reason.strip()]
    check_reasons(reasons, place)
    layer_index = _number(row.get("layer_index"), WHOLE_IMAGE, "layer_index", place)
    if layer_index != int(layer_index) or layer_index < WHOLE_IMAGE:
        raise UserError(f"{place}: layer_index is {layer_index:g}: give -1 for the whole sample, or a layer's number")
    probability = _probability(_number(row.get("inclusion_probability"), 1.0, "inclusion_probability", place), place)
    queue = str(row.get("queue") or "")
    return Label(sample_id, int(layer_index), good, tuple(reasons), queue, probability, place)


def _csv_rows(path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            _check_columns(reader.fieldnames or (), path)
            return [(f"{path}:{reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read labels from {path}: {error}") from error


def _parquet_rows(path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    try:
        table = read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read labels from {path} ({error}): give a CSV or Parquet file") from error
    _check_columns(table.column_names, path)
    rows = table.select([name for name in table.column_names if name in _COLUMNS]).to_pylist()
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, start=1)]


def _check_columns(names: Sequence[str], path: Path) -> None:
    if "sample_id" not in names or not {"good", "verdict"} & set(names):
        raise UserError(
            f"{path} has the columns {', '.join(names) or 'of no table'}: sample_id and good (or verdict) are needed"
        )


def _given(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def _number(value: Any, default: float, name: str, place: str) -> float:
    if not _given(value):
        return default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{place}: {name} is {value!r}: a number is wanted")
    return number


def _probability(value: float, place: str) -> float:
    if not 0 < value <= 1:
        raise UserError(f"{place}: inclusion_probability is {value:g}: it must be above 0 and at most 1")
    return value
