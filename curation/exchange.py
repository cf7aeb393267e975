"""Decisions as files: Parquet and CSV, out and in again."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import bad_request
from filters.taxonomy import check_reasons
from layered.errors import UserError
from ledger.decisions import DECISION_SCHEMA, Decision
from shards.parquet import read_parquet

Format = Literal["parquet", "csv"]

MOST_BYTES: Final = 256 * 1024**2
_BETWEEN_REASONS: Final = ";"


def write_decisions(decisions: Iterable[Decision], format_: Format) -> bytes:
    """A file with a row per event and the columns of `ledger.decisions.DECISION_SCHEMA`."""
    rows = ({**vars(each), "reasons": list(each.reasons)} for each in decisions)
    if format_ == "parquet":
        table = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(list(rows), DECISION_SCHEMA), table, compression="zstd")
        content: bytes = table.getvalue().to_pybytes()
        return content
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, DECISION_SCHEMA.names)
    writer.writeheader()
    for row in rows:
        texts = {"reasons": _BETWEEN_REASONS.join(row["reasons"]), "at": row["at"].isoformat()}
        writer.writerow({**row, **texts})
    return stream.getvalue().encode()


def read_decisions_file(content: bytes, format_: Format, known: Collection[str]) -> list[Decision]:
    """The mirror image of `write_decisions`.

    Args:
        known: the run's samples; events on others are refused.

    Raises:
        RequestError: naming the first row that cannot be used; then none of the file is.
    """
    rows = _csv_rows(content) if format_ == "csv" else _parquet_rows(content)
    decisions = []
    for number, row in enumerate(rows, start=1):
        try:
            decision = _decision(row)
            check_reasons(decision.reasons, f"row {number}")
        except UserError as error:
            raise bad_request(str(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise bad_request(f"row {number} is no decision: {error}") from error
        if decision.sample_id not in known:
            raise bad_request(f"row {number}: sample {decision.sample_id[:64]} is not in this run")
        decisions.append(decision)
    return decisions


def _csv_rows(content: bytes) -> Iterable[Mapping[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        _check_columns(reader.fieldnames or ())
        return list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad_request(f"the file is no CSV in UTF-8: {error}") from error


def _parquet_rows(content: bytes) -> Iterable[Mapping[str, Any]]:
    try:
        table = read_parquet(pa.BufferReader(content))
        _check_columns(table.column_names)
        rows: list[Mapping[str, Any]] = table.select(DECISION_SCHEMA.names).cast(DECISION_SCHEMA).to_pylist()
        return rows
    except (OSError, pa.ArrowException) as error:
        raise bad_request(f"the file is no Parquet file of decisions: {error}") from error


def _check_columns(names: Iterable[str]) -> None:
    missing = [name for name in DECISION_SCHEMA.names if name not in set(names)]
    if missing:
        raise bad_request(f"the file has no column {missing[0]}: an export has {', '.join(DECISION_SCHEMA.names)}")


def _decision(row: Mapping[str, Any]) -> Decision:
    reasons, at, rating = row["reasons"] or (), row["at"], row["rating"]
    if isinstance(reasons, str):
        reasons = [reason for reason in reasons.split(_BETWEEN_REASONS) if reason]
    decision = Decision(
        event_id=_text(row, "event_id"),
        sample_id=_text(row, "sample_id"),
        layer_index=int(row["layer_index"]),
        verdict=row["verdict"],
        reasons=tuple(reasons),
        rating=None if rating in (None, "") else float(rating),
        caption=row["caption"] or "",
        reviewer=_text(row, "reviewer"),
        at=datetime.fromisoformat(at) if isinstance(at, str) else at,
        queue=row["queue"] or "",
        inclusion_probability=float(row["inclusion_probability"]),
    )
    if not -1 <= decision.layer_index <= 99:
        raise ValueError(f"layer_index is {decision.layer_index}")
    if decision.rating is not None and not math.isfinite(decision.rating):
        raise ValueError(f"rating is {decision.rating}")
    if not 0 < decision.inclusion_probability <= 1:
        raise ValueError(f"inclusion_probability is {decision.inclusion_probability}")
    return decision


def _text(row: Mapping[str, Any], name: str) -> str:
    text = row[name]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} is missing")
    return text
