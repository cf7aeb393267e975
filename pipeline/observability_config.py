"""What a run tells of itself while it works, beside what it prints: settings that never change its bytes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ObservabilityConfig(BaseModel):
    """The `observability` section.

    Attributes:
        prometheus_port: the driver serves its metrics there, for a Prometheus to scrape; null leaves them to Ray, whose
            own exporters serve them on a cluster.
        log_file: a file on the driver's machine that takes one line per batch, chunk and failed sample.
        log_format: ``text``, or ``json`` for one object a line; without a file, ``json`` goes to standard error.
        otlp_endpoint: an OpenTelemetry collector, such as ``http://localhost:4318``, that takes a span for each chunk
            and each batch.
        live_seconds: how often the driver writes `live.json` into the run, for `layerprism status` on any machine.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prometheus_port: int | None = Field(None, ge=1, le=65535)
    log_file: str | None = None
    log_format: Literal["text", "json"] = "text"
    otlp_endpoint: str | None = None
    live_seconds: float = Field(5, gt=0)
