"""Spans of chunks and batches."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from pipeline.observability_config import ObservabilityConfig
from pipeline.pools import BatchReport
from pipeline.tracing import TraceWatcher, open_tracer
from tests.pipeline.watched import tell


def spans_of(error: Exception | None = None) -> list[Any]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    watcher = TraceWatcher(provider.get_tracer("test"), "big")
    try:
        with watcher:
            tell(watcher)
            watcher.on_batch(BatchReport("matting", "light-0", 8, 3, 0, 200.0, 201.0))
            if error is not None:
                raise error
    except ValueError:
        pass
    return list(exporter.get_finished_spans())


def test_batches_lie_in_their_chunk_with_their_own_times() -> None:
    spans = spans_of()
    chunk = next(span for span in spans if span.attributes["layerprism.chunk"] == 7 and span.name == "chunk")
    first, second = [span for span in spans if span.name == "layer_flux"]
    assert first.parent.span_id == second.parent.span_id == chunk.context.span_id
    assert (first.start_time, first.end_time) == (100_000_000_000, 102_500_000_000)
    assert first.attributes["layerprism.items"] == 12
    assert first.attributes["layerprism.worker"] == "layer_flux-1"
    assert first.status.is_ok
    assert not second.status.is_ok
    assert chunk.parent is None
    assert chunk.attributes["layerprism.samples"] == 30
    assert [event.name for event in chunk.events] == ["fault", "sample failed"]
    assert chunk.events[1].attributes["layerprism.sample"] == "s0000009"


def test_each_chunk_is_a_trace_of_its_own() -> None:
    chunks = [span for span in spans_of() if span.name == "chunk"]
    assert len(chunks) == 2
    assert len({span.context.trace_id for span in chunks}) == 2


def test_what_an_error_cut_short_says_so() -> None:
    spans = spans_of(ValueError("full"))
    unfinished = [span.attributes["layerprism.chunk"] for span in spans if "layerprism.unfinished" in span.attributes]
    assert unfinished == [8]
    assert not any("layerprism.unfinished" in span.attributes for span in spans_of())


def test_spans_arrive_at_a_collector() -> None:
    received: list[tuple[str, int]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, len(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        with (
            open_tracer(ObservabilityConfig(otlp_endpoint=endpoint)) as tracer,
            TraceWatcher(tracer, "big") as each,
        ):
            tell(each)
    finally:
        server.shutdown()
        server.server_close()
    assert received
    assert received[0][0] == "/v1/traces"
    assert received[0][1] > 100
