"""What a run is expected to cost: prices, losses, and what was measured beforehand. Changes no byte of a run."""

from __future__ import annotations

import difflib
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Price = Annotated[float, Field(ge=0)]


class PricesConfig(BaseModel):
    """The `estimate.prices` section: a price table, in any one currency.

    Attributes:
        currency: how amounts are named, such as ``EUR``.
        gpu_hour: of one GPU on demand, by kind: ``{h100: 2.9, l4: 0.7}``.
        spot_gpu_hour: of one GPU that may be taken away, by kind.
        light_hour: of one process for matting, checks, composition and filters, where those are paid on their own.
        storage_gb_month: of 10⁹ bytes kept for a month.
        requests_1000: of a thousand requests to the object store.
        egress_gb: of 10⁹ bytes that leave the object store.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    currency: str = ""
    gpu_hour: dict[str, Price] = {}
    spot_gpu_hour: dict[str, Price] = {}
    light_hour: Price | None = None
    storage_gb_month: Price | None = None
    requests_1000: Price | None = None
    egress_gb: Price | None = None


class EstimateConfig(BaseModel):
    """The `estimate` section, for `layerprism estimate` and `plan` and for the forecast of a run.

    Attributes:
        measured: a measurement that `layerprism estimate --save` wrote; in a configuration file relative to that file.
            With it, `plan` tells ranges, and a run keeps its forecast, which its report compares with the truth.
        gpu: the kind of GPU that the LayerFLUX processes use, a key of the price table.
        spot: they may be taken away at any time, and cost what `prices.spot_gpu_hour` says.
        losses_per_hour: how often one such process is lost in an hour of its work.
        replacement_seconds: until another machine stands in its place, before it loads its models.
        storage_months: for which chunks and shards are kept.
        downloads: of the whole publication out of the object store.
        prices: see there. `executor.price_per_hour` is the price of one LayerFLUX process where no `gpu` is named.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    measured: str | None = None
    gpu: str | None = None
    spot: bool = False
    losses_per_hour: float = Field(0.0, ge=0)
    replacement_seconds: float = Field(120.0, ge=0)
    storage_months: float = Field(1.0, ge=0)
    downloads: float = Field(0.0, ge=0)
    prices: PricesConfig = PricesConfig()

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        table = self.gpu_prices
        if self.gpu is not None and self.gpu not in table:
            name = "prices.spot_gpu_hour" if self.spot else "prices.gpu_hour"
            close = difflib.get_close_matches(self.gpu, table, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"priced there: {', '.join(table) or 'nothing'}"
            raise ValueError(f"gpu {self.gpu!r} has no price in {name}; {hint}")
        return self

    @property
    def gpu_prices(self) -> dict[str, float]:
        """By kind, those of the market that the GPUs come from."""
        return self.prices.spot_gpu_hour if self.spot else self.prices.gpu_hour
