"""Counters and gauges: what is counted, and who serves it."""

import socket
import urllib.request

import pytest

from layered.errors import UserError
from pipeline.metrics import METRICS, MetricsWatcher, PrometheusBackend, metrics_backend
from pipeline.observability_config import ObservabilityConfig
from tests.pipeline.watched import free_port, tell


def test_everything_that_happens_is_counted() -> None:
    backend = PrometheusBackend()
    tell(MetricsWatcher(backend, "big", batch_size=16))

    def value(name: str, **labels: str) -> float | None:
        return backend.registry.get_sample_value(name, {"run": "big", **labels})

    stage = {"stage": "layer_flux"}
    assert value("layerprism_items_total", **stage) == 16
    assert value("layerprism_failed_items_total", **stage) == 1
    assert value("layerprism_batches_total", **stage) == 2
    assert value("layerprism_retried_batches_total", **stage) == 1
    assert value("layerprism_batch_places_total", **stage) == 32
    assert value("layerprism_busy_seconds_total", worker="layer_flux-1", **stage) == 5
    assert value("layerprism_queue_seconds_total", **stage) == 1
    assert value("layerprism_items_in_stage", **stage) == 4
    assert value("layerprism_gpu_peak_bytes", worker="layer_flux-1") == 1 << 30
    assert value("layerprism_faults_total", fault="worker died", action="tried again", **stage) == 1
    assert value("layerprism_samples_total", result="finished") == 30
    assert value("layerprism_samples_total", result="failed") == 1
    assert value("layerprism_chunks_total") == 1
    assert value("layerprism_batch_seconds_count", **stage) == 2
    assert value("layerprism_batch_seconds_bucket", le="3.0", **stage) == 2
    assert value("layerprism_batch_seconds_bucket", le="1.0", **stage) == 0


def test_a_port_serves_them_while_the_run_lasts_and_not_longer() -> None:
    port = free_port()
    config = ObservabilityConfig(prometheus_port=port)
    with metrics_backend(config, on_ray=False) as backend:
        assert backend is not None
        tell(MetricsWatcher(backend, "big", 16))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
    assert 'layerprism_items_total{run="big",stage="layer_flux"} 16.0' in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_a_port_that_is_taken_is_told_with_its_key() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        config = ObservabilityConfig(prometheus_port=taken.getsockname()[1])
        with pytest.raises(UserError, match=r"observability\.prometheus_port \d+ cannot be served"):
            metrics_backend(config, on_ray=False).__enter__()


def test_nobody_takes_them_without_a_port_and_without_ray() -> None:
    with metrics_backend(ObservabilityConfig(), on_ray=False) as backend:
        assert backend is None


def test_names_are_prometheus_names() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("layerprism_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help
