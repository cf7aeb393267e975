"""Metrics through Ray: each node's own exporter serves them, and Ray's dashboard and Prometheus find them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.metrics import BATCH_SECONDS, Instrument, Metric


class RayBackend:
    """Metrics of `ray.util.metrics`."""

    def instrument(self, metric: Metric) -> Instrument:
        from ray.util import metrics

        tags = ("run", *metric.labels)
        if metric.kind == "counter":
            return _RayInstrument(metrics.Counter(metric.name, metric.help, tags), "inc")
        if metric.kind == "gauge":
            return _RayInstrument(metrics.Gauge(metric.name, metric.help, tags), "set")
        return _RayInstrument(metrics.Histogram(metric.name, metric.help, list(BATCH_SECONDS), tags), "observe")


@dataclass(frozen=True)
class _RayInstrument:
    instrument: Any
    method: str

    def record(self, value: float, labels: Mapping[str, str]) -> None:
        getattr(self.instrument, self.method)(value, tags=dict(labels))
