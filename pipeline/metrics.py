"""Counters and gauges of a run, for Prometheus: through Ray's exporters on a cluster, or one of the driver's own.

The driver hears of every batch, so it counts for all workers; `deploy/grafana/layerprism.json` shows what is counted
here. Ray puts ``ray_`` before every name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from layered.errors import UserError
from pipeline.chunk_flow import LAYER_FLUX
from pipeline.committing import Committed
from pipeline.observability_config import ObservabilityConfig
from pipeline.pools import BatchReport
from pipeline.retrying import FaultReport

BATCH_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True)
class Metric:
    """One metric. `labels` come on top of ``run``."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


ITEMS = Metric("layerprism_items_total", "counter", "Items that a stage has worked on.", ("stage",))
FAILED_ITEMS = Metric("layerprism_failed_items_total", "counter", "Those of them that failed.", ("stage",))
BATCHES = Metric("layerprism_batches_total", "counter", "Batches that a stage has worked on.", ("stage",))
RETRIED = Metric("layerprism_retried_batches_total", "counter", "Batches done after a fault.", ("stage",))
PLACES = Metric("layerprism_batch_places_total", "counter", "Places in those batches, used or not.", ("stage",))
BUSY = Metric("layerprism_busy_seconds_total", "counter", "Seconds that a worker was busy.", ("stage", "worker"))
QUEUED = Metric("layerprism_queue_seconds_total", "counter", "Seconds that batches waited for a worker.", ("stage",))
SECONDS = Metric("layerprism_batch_seconds", "histogram", "Seconds per batch.", ("stage",))
WAITING = Metric("layerprism_items_in_stage", "gauge", "Items that wait for a stage or are in it.", ("stage",))
GPU_BYTES = Metric("layerprism_gpu_peak_bytes", "gauge", "Most GPU memory in a worker's last batch.", ("worker",))
SAMPLES = Metric("layerprism_samples_total", "counter", "Samples committed, finished or failed.", ("result",))
FAULTS = Metric("layerprism_faults_total", "counter", "Faults, by what was done.", ("stage", "fault", "action"))
CHUNKS = Metric("layerprism_chunks_total", "counter", "Chunks committed.")

METRICS = (
    *(ITEMS, FAILED_ITEMS, BATCHES, RETRIED, PLACES, BUSY),
    *(QUEUED, SECONDS, WAITING, GPU_BYTES, FAULTS, SAMPLES, CHUNKS),
)


class Instrument(Protocol):
    """A metric that numbers can be given to."""

    def record(self, value: float, labels: Mapping[str, str]) -> None:
        """Adds to a counter, sets a gauge, observes for a histogram. `labels` has all labels of the metric."""


class Backend(Protocol):
    """Who makes metrics known."""

    def instrument(self, metric: Metric) -> Instrument:
        """The metric, made once."""


class MetricsWatcher:
    """Counts what it is told of a run.

    Args:
        batch_size: places of a batch of the generator.
    """

    def __init__(self, backend: Backend, run: str, batch_size: int) -> None:
        self._backend, self._run, self._batch_size = backend, run, batch_size
        self._instruments: dict[str, Instrument] = {}
        self._in_stage: dict[str, int] = {}

    def on_asked(self, stage: str, items: int) -> None:
        self._in_stage[stage] = self._in_stage.get(stage, 0) + items
        self._record(WAITING, self._in_stage[stage], stage=stage)

    def on_batch(self, report: BatchReport) -> None:
        stage, seconds = report.stage, max(0.0, report.ended - report.started)
        self._record(ITEMS, report.items, stage=stage)
        self._record(FAILED_ITEMS, report.failed, stage=stage)
        self._record(BATCHES, 1, stage=stage)
        self._record(RETRIED, int(report.attempt > 1), stage=stage)
        self._record(PLACES, self._batch_size if stage == LAYER_FLUX else report.items, stage=stage)
        self._record(BUSY, seconds, stage=stage, worker=report.worker)
        self._record(QUEUED, report.queue_seconds, stage=stage)
        self._record(SECONDS, seconds, stage=stage)
        if report.peak_gpu_bytes:
            self._record(GPU_BYTES, report.peak_gpu_bytes, worker=report.worker)

    def on_fault(self, report: FaultReport) -> None:
        self._record(FAULTS, 1, stage=report.stage, fault=report.fault.value, action=report.action.value)

    def on_chunk(self, committed: Committed) -> None:
        self._record(CHUNKS, 1)
        self._record(SAMPLES, committed.finished, result="finished")
        self._record(SAMPLES, len(committed.failures), result="failed")

    def _record(self, metric: Metric, value: float, **labels: str) -> None:
        if value <= 0 and metric.kind == "counter":  # Ray takes it for a mistake to count nothing
            return
        if metric.name not in self._instruments:  # not before Ray is there
            self._instruments[metric.name] = self._backend.instrument(metric)
        self._instruments[metric.name].record(value, {"run": self._run, **labels})


class PrometheusBackend:
    """Metrics of `prometheus_client`, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry

        self.registry = CollectorRegistry()

    def instrument(self, metric: Metric) -> Instrument:
        from prometheus_client import Counter, Gauge, Histogram

        arguments: dict[str, Any] = {"labelnames": ("run", *metric.labels), "registry": self.registry}
        if metric.kind == "counter":
            return _Prometheus(Counter(metric.name, metric.help, **arguments), "inc")
        if metric.kind == "gauge":
            return _Prometheus(Gauge(metric.name, metric.help, **arguments), "set")
        return _Prometheus(Histogram(metric.name, metric.help, buckets=BATCH_SECONDS, **arguments), "observe")


@dataclass(frozen=True)
class _Prometheus:
    instrument: Any
    method: str

    def record(self, value: float, labels: Mapping[str, str]) -> None:
        getattr(self.instrument.labels(**labels), self.method)(value)


@contextmanager
def metrics_backend(config: ObservabilityConfig, on_ray: bool) -> Iterator[Backend | None]:
    """Who takes a run's metrics: an exporter of its own where a port is given, else Ray's; None without either.

    Raises:
        UserError: when the port is taken, or `prometheus_client` is not installed.
    """
    if config.prometheus_port is None:
        from pipeline.ray_metrics import RayBackend

        yield RayBackend() if on_ray else None
        return
    try:
        from prometheus_client import start_http_server
    except ImportError as error:
        raise UserError(
            "observability.prometheus_port needs prometheus_client: pip install 'layerprism[cluster]'"
        ) from error
    backend = PrometheusBackend()
    try:
        server, thread = start_http_server(config.prometheus_port, registry=backend.registry)
    except OSError as error:
        raise UserError(
            f"observability.prometheus_port {config.prometheus_port} cannot be served ({error.strerror or error}): "
            "give another one"
        ) from error
    try:
        yield backend
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
