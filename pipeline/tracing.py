"""OpenTelemetry spans: one for each chunk, from its first batch to its commit, and one inside for each batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layered.errors import UserError
from pipeline.committing import Committed
from pipeline.observability_config import ObservabilityConfig
from pipeline.pools import BatchReport
from pipeline.retrying import FaultReport

SERVICE = "layerprism"
TRACES_PATH = "/v1/traces"


class TraceWatcher:
    """Makes spans of what it is told of a run. A context manager: leaving it ends the spans that are open.

    Args:
        tracer: of OpenTelemetry.
    """

    def __init__(self, tracer: Any, run: str) -> None:
        self._tracer, self._run = tracer, run
        self._chunks: dict[int, Any] = {}

    def __enter__(self) -> TraceWatcher:
        return self

    def __exit__(self, *exception: object) -> None:
        for span in self._chunks.values():
            if exception[0] is not None:
                span.set_attribute("layerprism.unfinished", True)
            span.end()
        self._chunks.clear()

    def on_asked(self, stage: str, items: int) -> None:
        pass

    def on_batch(self, report: BatchReport) -> None:
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        chunk = self._chunk(report.chunk, report.started)
        attributes = {
            "layerprism.run": self._run,
            "layerprism.chunk": report.chunk,
            "layerprism.stage": report.stage,
            "layerprism.worker": report.worker,
            "layerprism.items": report.items,
            "layerprism.failed": report.failed,
            "layerprism.attempt": report.attempt,
            "layerprism.queue_seconds": report.queue_seconds,
        }
        span = self._tracer.start_span(
            report.stage, set_span_in_context(chunk), attributes=attributes, start_time=_nanoseconds(report.started)
        )
        if report.failed:
            span.set_status(Status(StatusCode.ERROR, f"{report.failed} of {report.items} items failed"))
        span.end(_nanoseconds(report.ended))

    def on_fault(self, report: FaultReport) -> None:
        self._chunk(report.chunk, time.time()).add_event(
            "fault",
            {
                "layerprism.stage": report.stage,
                "layerprism.fault": report.fault.value,
                "layerprism.action": report.action.value,
                "exception.message": report.error,
            },
        )

    def on_chunk(self, committed: Committed) -> None:
        span = self._chunk(committed.revision.chunk, time.time())
        del self._chunks[committed.revision.chunk]
        span.set_attribute("layerprism.samples", committed.finished)
        span.set_attribute("layerprism.failed", len(committed.failures))
        for sample_id, failure in committed.failures:
            span.add_event(
                "sample failed",
                {"layerprism.sample": sample_id, "layerprism.stage": failure.stage, "exception.message": failure.error},
            )
        span.end()

    def _chunk(self, chunk: int, started: float) -> Any:
        """The open span of a chunk; its first batch starts it."""
        if chunk not in self._chunks:
            from opentelemetry.context import Context

            self._chunks[chunk] = self._tracer.start_span(
                "chunk",
                Context(),  # a trace of its own: a run may last for days
                attributes={"layerprism.run": self._run, "layerprism.chunk": chunk},
                start_time=_nanoseconds(started),
            )
        return self._chunks[chunk]


@contextmanager
def open_tracer(config: ObservabilityConfig) -> Iterator[Any | None]:
    """A tracer that sends its spans to the configured collector, while the block lasts; None where none is configured.

    Raises:
        UserError: when the packages of OpenTelemetry are not installed.
    """
    if config.otlp_endpoint is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UserError("observability.otlp_endpoint needs OpenTelemetry: pip install 'layerprism[otel]'") from error
    endpoint = config.otlp_endpoint.rstrip("/")
    exporter = OTLPSpanExporter(endpoint if endpoint.endswith(TRACES_PATH) else endpoint + TRACES_PATH)
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer(SERVICE)
    finally:
        provider.shutdown()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
