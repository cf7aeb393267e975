"""The pictures of a calibration: precision–recall curves, and what people kept and would be flagged."""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.calibration import ScoreCalibration, probabilities
from filters.combined import COMBINED
from filters.intervals import precision_bands
from filters.operating_points import Floats
from layered.arrays import UInt8Array
from layered.rendering import contact_sheet
from ledger.commit import thumbnail_member
from ledger.index import RunIndex
from pipeline.calibrate import CalibratedRun
from pipeline.report.charts import ACCEPTED_COLOR, FLAGGED_COLOR, INK, new_figure, plain_axis, png_of
from pipeline.report.gallery import decode_thumbnail, spread

COLUMNS = 3
BAND_POINTS = 24
MOST_TILES = 40


def draw_curves(calibrated: CalibratedRun) -> bytes:
    """A panel per score: precision over recall with its 95 % band, the chosen point, and the good part of all. PNG."""
    found = calibrated.calibration
    panels = [score for score in found.scores if score.curve is not None]
    if found.combined_score is not None and found.combined_score.curve is not None:
        panels.append(found.combined_score)
    columns = min(COLUMNS, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = new_figure(3.4 * columns, 2.8 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, score in zip(axes.flat, panels, strict=False):
        _draw_curve(axis, score, calibrated)
    return png_of(figure)


def draw_rejected_kept(calibrated: CalibratedRun) -> UInt8Array:
    """Samples or layers that people kept, with the score that would flag them, from all over the list. RGB."""
    index = RunIndex.load(calibrated.run.storage)
    tiles, captions = [], []
    for each in spread(calibrated.rejected, MOST_TILES):
        flag = each.flags[0]
        member = thumbnail_member(flag.layer_index)
        tiles.append(decode_thumbnail(index.sample_members(each.label.sample_id, [member])[member]))
        limit = calibrated.calibration.limits[flag.name]
        captions.append(f"{each.label.sample_id}: {flag.name} {flag.score:.2f} < {limit:.2f}")
    return contact_sheet(tiles, min(5, len(tiles)), (232, 160), captions)


def _draw_curve(axis: Any, score: ScoreCalibration, calibrated: CalibratedRun) -> None:
    curve, found = score.curve, calibrated.calibration
    assert curve is not None
    verdicts = found.chosen_on
    values: Floats
    if score.name == COMBINED and found.combined is not None:
        values = np.where(verdicts.whole, probabilities(verdicts, found.combined), np.nan)
    elif score.name == COMBINED:
        values = np.full(len(verdicts), np.nan)
    else:
        values = verdicts.scores[:, verdicts.names.index(score.name)]
    known = ~np.isnan(values)
    shown = np.unique(np.linspace(0, len(curve.thresholds) - 1, BAND_POINTS).round().astype(int))
    if known.any():
        part = verdicts.only(known)
        band = precision_bands(values[known], part.good, part.weights, part.samples, curve.thresholds[shown])
        axis.fill_between(curve.recall[shown], band[:, 0], band[:, 1], color=ACCEPTED_COLOR, alpha=0.2, linewidth=0)
    axis.plot(curve.recall, curve.precision, color=ACCEPTED_COLOR, linewidth=1.5)
    axis.axhline(curve.precision[0], color=INK, linewidth=0.8, linestyle=":")
    if score.rates is not None:
        rates, at = score.rates, (score.rates.recall, score.rates.precision)
        across, along = rates.recall_interval, rates.precision_interval
        axis.errorbar(
            *at,
            xerr=[[max(0.0, at[0] - across.low)], [max(0.0, across.high - at[0])]],
            yerr=[[max(0.0, at[1] - along.low)], [max(0.0, along.high - at[1])]],
            fmt="o",
            markersize=5,
            color=FLAGGED_COLOR,
            linewidth=1,
        )
    limit = found.thresholds.get(score.name) if score.threshold is None else score.threshold
    threshold = "no threshold" if limit is None else f"≥ {limit:g}"
    axis.set_title(f"{score.name}: {threshold}, AUROC {score.area:.2f}", fontsize=9, loc="left")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(max(0.0, float(curve.precision.min()) - 0.15), 1.02)
    axis.set_xlabel("recall", fontsize=8, color=INK)
    axis.set_ylabel("precision", fontsize=8, color=INK)
    plain_axis(axis)
