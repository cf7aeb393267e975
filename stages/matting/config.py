"""The `matting` section."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

BACKENDS = ("keyer",)
"""The ways to find alpha, in the order in which a reader meets them."""


class MattingConfig(BaseModel):
    """The `matting` section.

    Attributes:
        backend: how alpha is found; a name of `BACKENDS`.
        min_side: pictures with a shorter side below this are enlarged before, so that edges are smooth.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    backend: str = "keyer"
    min_side: int = Field(256, ge=1, le=4096)

    @field_validator("backend")
    @classmethod
    def _backend_exists(cls, backend: str) -> str:
        if backend not in BACKENDS:
            raise ValueError(f"there is no matting backend {backend!r}; valid here: {', '.join(BACKENDS)}")
        return backend
