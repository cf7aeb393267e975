"""The tables of `benchmarks.cluster_simulation`, and what its figures come to for ten million samples, on paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

PAPER_SAMPLES: Final = 10_000_000
LISTED_AT_ONCE: Final = 1000
"""Names in one answer of an S3 store to LIST."""

PRICE_PER_1000: Final = {"PUT": 0.005, "LIST": 0.005, "GET": 0.0004}
"""US dollars, S3 standard storage in us-east-1."""

REAL_PICTURE_BYTES: Final = 1.4e6
"""Of a 1024×1024 picture as PNG level 1; the mean of RGB and RGBA layers of photo-like pixels."""

PLAN_COPIES: Final = 2.1
"""While a plan is read: 726 MB for a table of 347 MB."""

PUBLISHING_BYTES: Final = 230 * 2**20
"""Of a process that publishes hardly anything, with what draws its report."""

_MIB, _GB = 2**20, 1e9


def show(result: Mapping[str, Any], console: Console) -> None:
    """Prints whatever has been measured."""
    console.print(f"{result['machine']}")
    rows = [row for name, rows_of in _ROWS.items() if name in result for row in rows_of(result)]
    table = Table("figure", "measured", "wanted")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if "scaling" in result:
        console.print(_scaling(result["scaling"]))
    if {"plan", "publish", "files"} <= result.keys():
        console.print(_on_paper(result))


def on_paper(result: Mapping[str, Any], samples: int = PAPER_SAMPLES) -> dict[str, float]:
    """Figures of a run of so many samples, in proportion to what was measured.

    Objects are those of a store: a tar and a record for each chunk. A listing of the chunks is needed when a run is
    resumed, shown or published. What `real` figures are of are photo-like pictures of one megapixel instead of the
    simulated ones: raws, layers and base images in the chunks, layers, base and whole images in the shards.
    """
    plan, files, publish = result["plan"], result["files"], result["publish"]
    by = samples / plan["samples"]
    chunks = by * plan["chunks"]
    lists = math.ceil(2 * chunks / LISTED_AT_ONCE)
    in_chunks = 2 * plan["pictures"] + plan["samples"]
    in_shards = plan["pictures"] + plan["samples"]
    return {
        "chunks": chunks,
        "objects": 2 * chunks,
        "writing them, US dollars": 2 * chunks / 1000 * PRICE_PER_1000["PUT"],
        "LIST requests of one listing": lists,
        "one listing, US dollars": lists / 1000 * PRICE_PER_1000["LIST"],
        "reading all records once, US dollars": chunks / 1000 * PRICE_PER_1000["GET"],
        "records, GB": by * files["records"]["bytes"] / _GB,
        "plan.parquet, GB": by * plan["plan_bytes"] / _GB,
        "plan in the driver's memory, GB": by * PLAN_COPIES * plan["plan_table_bytes"] / _GB,
        "memory of publishing, GB": by * max(0, publish["peak_rss_bytes"] - PUBLISHING_BYTES) / _GB,
        "shards of 1,000 samples": samples / 1000,
        "real chunks, TB": by * in_chunks * REAL_PICTURE_BYTES / 1e12,
        "real shards, TB": by * in_shards * REAL_PICTURE_BYTES / 1e12,
        "real shards of 512 MiB": by * in_shards * REAL_PICTURE_BYTES / (512 * _MIB),
    }


def _plan_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    plan = result["plan"]
    return [
        ("samples, generated pictures", f"{plan['samples']:,}, {plan['pictures']:,}", ""),
        ("chunks, batches", f"{plan['chunks']:,}, {plan['batches']:,}", ""),
        ("planned batch fill", _percent(plan["batch_fill"]), ""),
        ("planning, CPU s (wall s)", f"{plan['cpu_s']:.0f} ({plan['wall_s']:.0f})", ""),
        ("planning, peak memory", _mib(plan["peak_rss_bytes"]), "≤ 2048 MiB"),
    ]


def _run_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [row for sitting in result["run"] for row in _sitting_rows("to 90 %", sitting)]


def _sitting_rows(name: str, sitting: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    pictures = sitting["pictures"]
    stages = ", ".join(f"{stage} {value:.2f}" for stage, value in sitting["stage_ms_per_picture"].items())
    pss = sitting["workers_peak_pss_bytes"]
    return [
        (f"{name}: pictures, mean batch", f"{pictures:,}, {sitting['mean_batch_s']:.2f} s", "≥ 1 s"),
        (f"{name}: pictures/s, wall s", f"{sitting['pictures_per_s']:.0f}, {sitting['span_s']:.0f}", ""),
        (f"{name}: driver CPU per picture", f"{1000 * sitting['driver_cpu_s'] / pictures:.2f} ms", "≤ 2 ms"),
        (f"{name}: driver peak memory (PSS)", _mib(sitting["driver_peak_pss_bytes"]), "≤ 2048 MiB"),
        (f"{name}: CPU of workers, of Ray, per picture", _cpu_of(sitting), ""),
        (f"{name}: stages, ms of a worker per picture", stages, ""),
        (f"{name}: memory (PSS) of a worker", f"{_mib(pss[0])} to {_mib(pss[-1])}" if pss else "", ""),
        (f"{name}: batch fill", _percent(sitting["batch_fill"]), ""),
        (f"{name}: generators busy", _percent(sitting["busy_share"]), ""),
        (f"{name}: tail", f"{sitting['tail_s']:.1f} s, {_percent(sitting['tail_share'])} of their time", ""),
    ]


def _resume_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    resume = result["resume"]
    seconds = resume["first_batch_started"] - resume["process_started"]
    return [
        ("resumed: chunks there before", f"{resume['chunks_before']:,} of {result['plan']['chunks']:,}", ""),
        ("resumed: seconds until the first batch", f"{seconds:.1f}", "≤ 20"),
        *_sitting_rows("the rest", resume),
    ]


def _status_rows(name: str, title: str, result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = result[name]
    walls = ", ".join(f"{row['wall_s']:.2f}" for row in rows)
    return [
        (f"status {title}: seconds, three times", walls, "≤ 1"),
        (f"status {title}: peak memory", _mib(max(row["peak_rss_bytes"] for row in rows)), ""),
    ]


def _publish_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    publish = result["publish"]
    return [
        ("published samples, shards", f"{publish['samples']:,}, {publish['shards']:,}", ""),
        ("publishing, s", f"{publish['wall_s']:.0f}", ""),
        ("publishing, peak memory", _mib(publish["peak_rss_bytes"]), "≤ 2048 MiB"),
    ]


_ROWS: Final = {
    "plan": _plan_rows,
    "run": _run_rows,
    "status": lambda result: _status_rows("status", "at 90 %", result),
    "resume": _resume_rows,
    "finished_status": lambda result: _status_rows("finished_status", "of the whole", result),
    "publish": _publish_rows,
}


def _scaling(rows: list[Mapping[str, Any]]) -> Table:
    table = Table("workers", "pictures/s", "efficiency", "busy", "batch fill", title="as much work for each worker")
    alone = rows[0]["pictures_per_s"] / rows[0]["workers"]
    for row in rows:
        efficiency = row["pictures_per_s"] / row["workers"] / alone
        cells = f"{row['pictures_per_s']:.1f}", _percent(efficiency), _percent(row["busy_share"])
        table.add_row(str(row["workers"]), *cells, _percent(row["batch_fill"]))
    return table


def _on_paper(result: Mapping[str, Any]) -> Table:
    table = Table("figure", "on paper", title=f"{PAPER_SAMPLES:,} samples, in proportion")
    for name, value in on_paper(result).items():
        table.add_row(name, f"{value:,.3g}" if value < 100 else f"{value:,.0f}")
    return table


def _cpu_of(sitting: Mapping[str, Any]) -> str:
    shares = (1000 * sitting[name] / sitting["pictures"] for name in ("workers_cpu_s", "ray_cpu_s"))
    return ", ".join(f"{share:.2f} ms" for share in shares)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _mib(size: float) -> str:
    return f"{size / _MIB:,.0f} MiB"
