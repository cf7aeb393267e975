"""One line for each batch, chunk and failed sample, for people or for machines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from layered.errors import UserError
from pipeline.committing import Committed
from pipeline.observability_config import ObservabilityConfig
from pipeline.pools import BatchReport
from pipeline.retrying import FaultReport

LOGGER = "layerprism.run"
FIELDS = "fields"
"""The attribute of a log record that holds what a line says beside its message: name → JSON value."""


class LogWatcher:
    """Logs what it is told of a run. Every line names the run, and the chunk, stage and sample where it is of one."""

    def __init__(self, logger: logging.Logger, run: str) -> None:
        self._logger, self._run = logger, run

    def on_asked(self, stage: str, items: int) -> None:
        pass

    def on_batch(self, report: BatchReport) -> None:
        self._log(
            logging.WARNING if report.failed else logging.INFO,
            "batch",
            chunk=report.chunk,
            stage=report.stage,
            worker=report.worker,
            items=report.items,
            failed=report.failed,
            attempt=report.attempt,
            seconds=round(report.ended - report.started, 3),
            queue_seconds=round(report.queue_seconds, 3),
        )

    def on_fault(self, report: FaultReport) -> None:
        self._log(
            logging.WARNING,
            "fault",
            chunk=report.chunk,
            stage=report.stage,
            items=report.items,
            attempt=report.attempt,
            fault=report.fault.value,
            action=report.action.value,
            error=report.error,
        )

    def on_chunk(self, committed: Committed) -> None:
        chunk = committed.revision.chunk
        for sample_id, failure in committed.failures:
            self._log(
                logging.ERROR,
                "sample failed",
                chunk=chunk,
                stage=failure.stage,
                sample=sample_id,
                layer=failure.layer_index,
                error=failure.error,
            )
        self._log(
            logging.INFO,
            "chunk committed",
            chunk=chunk,
            revision=committed.revision.revision,
            samples=committed.finished,
            failed=len(committed.failures),
            layers=committed.layers,
        )

    def _log(self, level: int, message: str, **fields: Any) -> None:
        self._logger.log(level, message, extra={FIELDS: {"run": self._run, **fields}})


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``at`` (ISO 8601, UTC), ``level``, ``event``, then the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"at": _at(record), "level": record.levelname.lower(), "event": record.getMessage()}
        if record.name != LOGGER:
            line["logger"] = record.name
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.000Z info batch run=big chunk=3 …``; texts with spaces as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_shown(value)}" for name, value in getattr(record, FIELDS, {}).items())
        line = f"{_at(record)} {record.levelname.lower()} {record.getMessage()} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


@contextmanager
def open_log(config: ObservabilityConfig) -> Iterator[logging.Logger | None]:
    """The log that the configuration asks for, while the block lasts; it takes the warnings of libraries too.

    Raises:
        UserError: when the file cannot be written.
    """
    if config.log_file is None and config.log_format == "text":
        yield None
        return
    handler: logging.Handler
    try:
        handler = logging.FileHandler(config.log_file, encoding="utf-8") if config.log_file else _standard_error()
    except OSError as error:
        raise UserError(
            f"observability.log_file {config.log_file} cannot be written ({error.strerror or error}): give another one"
        ) from error
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else TextFormatter())
    logger = logging.getLogger(LOGGER)
    level = logger.level
    logger.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield logger
    finally:
        logging.getLogger().removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def _standard_error() -> logging.Handler:
    return logging.StreamHandler(sys.stderr)


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(value: Any) -> str:
    text = str(value)
    return text if text and not set(text) & set(" \"'=\n") else json.dumps(text, ensure_ascii=False)
