"""The `storage` section: how a run gets on with the store that its files are in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shards.patience import DEFAULT_PATIENCE_SECONDS


class StorageConfig(BaseModel):
    """How a run gets on with the store that its files are in.

    Attributes:
        patience_seconds: how long an object store that does not answer is waited for; then the run ends with exit code
            1, and the same command goes on from there.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    patience_seconds: Annotated[float, Field(ge=0, le=3600)] = DEFAULT_PATIENCE_SECONDS
