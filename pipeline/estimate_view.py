"""An estimate for people: amounts in units that are easy to read, beside the truth where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from layered.errors import UserError
from pipeline.estimate import PER_ACCEPTED, QUANTITIES, Estimate, Range


@dataclass(frozen=True)
class ForecastRow:
    """One quantity: what was expected, what it became, and the second over the first's middle."""

    name: str
    expected: str
    per_accepted: str
    truth: str
    ratio: float | None


def amount(name: str, value: float | None, currency: str = "", like: float | None = None) -> str:
    """A quantity in words, in the unit that suits `like`, by default itself; ``unknown`` for None."""
    if value is None:
        return "unknown"
    if name == "seconds":
        return duration(value, like)
    if name == "storage_bytes":
        return storage(value, like)
    if name == "price":
        digits = 2 if value >= 1 else 4
        return f"{value:,.{digits}f} {currency}".rstrip()
    if name in ("gpu_hours", "worker_hours"):
        scale = value if like is None else like
        return f"{value:,.1f} h" if scale >= 1 else duration(3600 * value, 3600 * scale)
    return f"{value:,.0f}"


def duration(seconds: float, like: float | None = None) -> str:
    """``38 ms``, ``12 s``, ``4.5 min``, ``7.2 h``, ``3.1 days``; in the unit that suits `like`, by default itself."""
    scale = seconds if like is None else like
    for limit, divisor, unit, digits in (
        (1, 1e-3, "ms", 0),
        (120, 1, "s", 0 if scale >= 10 else 1),
        (7200, 60, "min", 1),
        (172800, 3600, "h", 1),
    ):
        if scale < limit:
            return f"{seconds / divisor:.{digits}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def storage(size: float, like: float | None = None) -> str:
    """``12 kB``, ``3.4 MB``, ``56 GB``, ``1.2 TB``; in the unit that suits `like`, by default itself."""
    scale = size if like is None else like
    for divisor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if scale >= divisor:
            return f"{size / divisor:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def span(name: str, values: Range, currency: str = "") -> str:
    """``41 s (38 s … 45 s)``."""
    mid = amount(name, values.mid, currency)
    if values.low is None and values.high is None:
        return mid
    low, high = (amount(name, value, currency, values.mid) for value in (values.low, values.high))
    return mid if low == high == mid else f"{mid} ({low} … {high})"


def render_estimate(estimate: Estimate) -> RenderableType:
    """What a plan takes, for a terminal."""
    table = Table("", "in all", "per accepted sample", title="Middle 80 % in brackets", title_justify="left")
    if estimate.samples.mid != estimate.planned:
        table.add_row("samples needed", span("samples", estimate.samples))
    for name, values in estimate.quantities.items():
        each = span(name, estimate.per_accepted[name], estimate.currency) if name in estimate.per_accepted else ""
        table.add_row(QUANTITIES[name], span(name, values, estimate.currency), each)
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in estimate.seconds_of.items())
    lines = [f"time: {parts}", f"busy: LayerFLUX processes {estimate.busy:.0%}, others {estimate.light_busy:.0%}"]
    lines += [f"note: {note}" for note in estimate.notes]
    return Group(table, *(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def compare(estimate: Estimate, truth: Mapping[str, float]) -> list[ForecastRow]:
    """The forecast of a run beside what it became."""
    accepted = truth.get("accepted", 0)
    rows = []
    for name, values in estimate.quantities.items():
        if name not in truth:
            continue
        became = amount(name, truth[name], estimate.currency)
        if name in PER_ACCEPTED and accepted:
            became += f"; {amount(name, truth[name] / accepted, estimate.currency)} each"
        each = span(name, estimate.per_accepted[name], estimate.currency) if name in estimate.per_accepted else ""
        ratio = truth[name] / values.mid if values.mid else None
        rows.append(ForecastRow(QUANTITIES[name], span(name, values, estimate.currency), each, became, ratio))
    return rows


def write_estimate(path: Path, estimate: Estimate) -> None:
    """Writes it as JSON. Raises UserError when the file cannot be written."""
    try:
        path.write_text(estimate.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the estimate {path}: {error.strerror or error}") from error
