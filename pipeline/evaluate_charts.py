"""The charts of an evaluation, as PNG bytes: each metric with its intervals, and who won."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evaluation.intervals import Estimate
from evaluation.measurement import METRICS
from pipeline.evaluate import ComparedPair, Evaluation
from pipeline.report.charts import ACCEPTED_COLOR, FLAGGED_COLOR, INK, STAGE_COLORS, new_figure, plain_axis, png_of

COLUMNS: Final = 3
_DRAWN_COLOR: Final = "#d9d5cf"


def draw_metrics(evaluation: Evaluation) -> bytes:
    """A small chart for each metric: a point per model, a line over its interval."""
    from matplotlib.ticker import MaxNLocator

    columns = [*evaluation.models, *([evaluation.truth] if evaluation.truth else [])]
    metrics = [each for each in METRICS if any(each.name in column.figures.values for column in columns)]
    rows = -(-len(metrics) // COLUMNS)
    figure = new_figure(4.2 * COLUMNS, rows * (0.75 + 0.26 * len(columns)))
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    for number, (axis, metric) in enumerate(zip(axes.flat, metrics, strict=False)):
        scale = 100 if metric.percent else 1
        for place, column in enumerate(columns):
            value = column.figures.values.get(metric.name)
            color = STAGE_COLORS[place % len(STAGE_COLORS)]
            if isinstance(value, Estimate):
                axis.plot([scale * value.low, scale * value.high], [place, place], color=color, linewidth=2)
                axis.plot([scale * value.value], [place], "o", color=color, markersize=5)
            elif value is not None:
                axis.plot([scale * value], [place], "o", color=color, markersize=5)
        axis.set_yticks(range(len(columns)), [column.name for column in columns] if number % COLUMNS == 0 else [])
        axis.set_ylim(len(columns) - 0.5, -0.5)
        direction = f", {metric.better} is better" if metric.better else ""
        axis.set_title(f"{metric.title}{' in %' if metric.percent else ''}{direction}", fontsize=7, loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        plain_axis(axis)
    return png_of(figure)


def draw_comparisons(pairs: Sequence[ComparedPair]) -> bytes:
    """A bar for each pair of models: won, drawn, lost; above it the interval of wins and half of the draws."""
    figure = new_figure(9.0, 0.8 + 0.5 * len(pairs))
    axis = figure.subplots()
    for row, pair in enumerate(pairs):
        result, start = pair.result, 0.0
        parts = (result.won, ACCEPTED_COLOR), (result.drawn, _DRAWN_COLOR), (result.lost, FLAGGED_COLOR)
        for share, color in parts:
            axis.barh(row, share.value, left=start, color=color, height=0.5)
            start += share.value
        axis.plot([result.points.low, result.points.high], [row, row], color=INK, linewidth=1.5)
        axis.plot([result.points.value], [row], "|", color=INK, markersize=10)
    axis.axvline(0.5, color=INK, linewidth=0.8, linestyle="--")
    axis.set_yticks(range(len(pairs)), [f"{pair.first} against {pair.second}" for pair in pairs])
    axis.set_ylim(len(pairs) - 0.5, -0.5)
    axis.set_xlim(0, 1)
    axis.set_title(
        "won (blue), drawn, lost (red); the line is the interval of wins and half of the draws", fontsize=8, loc="left"
    )
    plain_axis(axis)
    return png_of(figure)
