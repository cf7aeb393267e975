"""The drawn charts of a report, as PNG bytes: what the filters measured, and who was busy when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.statistics import ScoreNumbers, Sitting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACCEPTED_COLOR = "#4f7cac"
FLAGGED_COLOR = "#d1495b"
INK = "#333333"
STAGE_COLORS = ("#4f7cac", "#e09f3e", "#6a994e", "#9d4edd", "#d1495b", "#2a9d8f", "#8d6e63", "#7f7f7f")
BINS = 30
COLUMNS = 3
MOST_WORKERS = 40
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
    """A row per worker, a bar where it was busy, and its busy share. Of very many workers the first are drawn."""
    from matplotlib.patches import Patch

    workers = sitting.workers[:MOST_WORKERS]
    intervals = sorted((interval for worker in workers for interval in worker.intervals), key=lambda each: each.start)
    stages = dict.fromkeys(interval.stage for interval in intervals)  # in the order in which they first worked
    colors = {stage: STAGE_COLORS[number % len(STAGE_COLORS)] for number, stage in enumerate(stages)}
    figure = new_figure(10.2, 1.3 + 0.32 * len(workers))
    axis = figure.subplots()
    for row, worker in enumerate(workers):
        bars = [(interval.start, interval.end - interval.start) for interval in worker.intervals]
        axis.broken_barh(bars, (row - 0.38, 0.76), facecolors=[colors[each.stage] for each in worker.intervals])
        axis.text(sitting.seconds * 1.01, row, f"{worker.busy_share:.0%} busy", va="center", fontsize=8, color=INK)
    axis.set_yticks(range(len(workers)), [worker.worker for worker in workers])
    axis.set_ylim(len(workers) - 0.4, -0.6)
    axis.set_xlim(0, sitting.seconds)
    axis.set_xlabel("seconds", fontsize=8, color=INK)
    handles = [Patch(color=color, label=stage) for stage, color in colors.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=8, fontsize=8, frameon=False)
    plain_axis(axis)
    return png_of(figure)


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
