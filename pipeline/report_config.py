"""The `report` section of a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReportConfig(BaseModel):
    """How much the report shows."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    samples: int = Field(48, ge=1, description="samples on the contact sheet")
    rejected: int = Field(24, ge=0, description="samples in the reject gallery")
