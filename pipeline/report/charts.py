"""The drawn charts of a report, as PNG bytes: what the filters measured, and who was busy when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.statistics import ScoreNumbers, Sitting, busy_workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACCEPTED_COLOR = "#4f7cac"
FLAGGED_COLOR = "#d1495b"
INK = "#333333"
STAGE_COLORS = ("#4f7cac", "#e09f3e", "#6a994e", "#9d4edd", "#d1495b", "#2a9d8f", "#8d6e63", "#7f7f7f")
BINS = 30
COLUMNS = 3
MOST_WORKERS = 40
POINTS = 200
TROUBLE_COLOR = "#c1121f"
TIME_UNITS = (("days", 86400.0, 2 * 86400.0), ("hours", 3600.0, 2 * 3600.0), ("minutes", 60.0, 3 * 60.0))
"""Units of time: name, seconds, and from how many seconds on it is used."""

DPI = 120


def draw_scores(scores: Sequence[ScoreNumbers]) -> bytes:
    """A histogram per score; what lies below the threshold has another colour."""
    from matplotlib.ticker import MaxNLocator

    columns = min(COLUMNS, len(scores))
    rows = -(-len(scores) // columns)
    figure = new_figure(3.4 * columns, 2.3 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(scores) :]:
        axis.set_visible(False)
    for axis, score in zip(axes.flat, scores, strict=False):
        edges = bin_edges(score.values, score.threshold)
        counts, _ = np.histogram(np.clip(score.values, edges[0], edges[-1]), edges)
        below = edges[:-1] < (score.threshold if score.threshold is not None else -np.inf)
        axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=np.where(below, FLAGGED_COLOR, ACCEPTED_COLOR))
        if score.threshold is not None:
            axis.axvline(score.threshold, color=INK, linewidth=1, linestyle="--")
        flags = f", {score.flagged} flagged" if score.threshold is not None else ""
        axis.set_title(f"{score.name}: {score.rows}{flags}", fontsize=9, loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        plain_axis(axis)
    return png_of(figure)


def draw_timeline(sitting: Sitting) -> bytes:
    """How many workers were at what, and below it a row per worker: a bar where it was busy, and its busy share.

    A red mark stands where a batch ended of which something failed, or that had been tried before. Of very many workers
    the first have a row; the curve above counts all of them.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    workers = sitting.workers[:MOST_WORKERS]
    unit, seconds = time_unit(sitting.seconds)
    busy = busy_workers(sitting, POINTS)
    colors = {stage: STAGE_COLORS[number % len(STAGE_COLORS)] for number, stage in enumerate(busy)}
    rows = 0.32 * len(workers)
    figure = new_figure(10.2, 2.4 + rows)
    above, axis = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, max(rows, 0.32)))
    length = sitting.seconds / seconds
    times = (np.arange(POINTS) + 0.5) * length / POINTS
    above.stackplot(times, *busy.values(), colors=list(colors.values()), linewidth=0)
    above.set_ylim(0, max(len(sitting.workers), 1))
    above.set_ylabel("workers busy", fontsize=8, color=INK)
    plain_axis(above)
    for row, worker in enumerate(workers):
        bars = [(each.start / seconds, (each.end - each.start) / seconds) for each in worker.intervals]
        axis.broken_barh(bars, (row - 0.38, 0.76), facecolors=[colors[each.stage] for each in worker.intervals])
        axis.text(length * 1.01, row, f"{worker.busy_share:.0%} busy", va="center", fontsize=8, color=INK)
        marks = [each / seconds for each in worker.troubles]
        axis.plot(marks, [row + 0.44] * len(marks), "^", color=TROUBLE_COLOR, markersize=5, clip_on=False)
    axis.set_yticks(range(len(workers)), [worker.worker for worker in workers])
    axis.set_ylim(len(workers) - 0.4, -0.6)
    axis.set_xlim(0, length)
    axis.set_xlabel(unit, fontsize=8, color=INK)
    handles: list[Any] = [Patch(color=color, label=stage) for stage, color in colors.items()]
    if any(worker.troubles for worker in workers):
        label = "failed, or tried again"
        handles.append(Line2D([], [], color=TROUBLE_COLOR, marker="^", linestyle="none", label=label))
    figure.legend(handles=handles, loc="outside upper left", ncols=8, fontsize=8, frameon=False)
    plain_axis(axis)
    return png_of(figure)


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which a time is read best, and its seconds."""
    return next(((unit, length) for unit, length, above in TIME_UNITS if seconds > above), ("seconds", 1.0))


def bin_edges(values: NDArray[np.float64], threshold: float | None) -> NDArray[np.float64]:
    """Edges of equal bins that hold all values and the threshold, which is itself an edge: no bar straddles it."""
    anchor = threshold if threshold is not None else float(values.min(initial=0.0))
    low, high = float(values.min(initial=anchor)), float(values.max(initial=anchor))
    width = (high - low) / BINS or 1 / BINS
    first = int(np.floor((low - anchor) / width))
    last = int(np.floor((high - anchor) / width)) + 1
    return anchor + width * np.arange(first, last + 1, dtype=np.float64)


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure, in inches."""
    # Without pyplot there is no global state and no window system: savefig draws with Agg.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def plain_axis(axis: Any) -> None:
    """An axis without a box around it, with small labels."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, colors=INK)


def png_of(figure: Figure) -> bytes:
    """A figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
