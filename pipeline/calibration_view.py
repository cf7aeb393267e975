"""A calibration in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from filters.calibration import TOGETHER, ScoreCalibration
from filters.combined import COMBINED
from filters.intervals import Rates
from pipeline.calibrate import CalibratedRun
from pipeline.calibration_files import COMBINED_FILE, THRESHOLDS_FILE, percent, where
from pipeline.report.wording import counted

MOST_REJECTED = 10


def render_calibration(calibrated: CalibratedRun, folder: Path) -> RenderableType:
    """Thresholds, their rates and their check; what people kept and would be flagged; what to do next."""
    found = calibrated.calibration
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column("score", no_wrap=True, min_width=max(map(len, (TOGETHER, *found.chosen_on.names))))
    for heading in ("AUROC", "threshold", "precision", "recall"):
        table.add_column(heading, justify="right")
    table.add_column("note", overflow="fold")
    for score in (*found.scores, *([found.combined_score] if found.combined_score else [])):
        table.add_row(*_cells(score, calibrated))
    table.add_row(Text(TOGETHER), "", "", *_rates(found.together), "")
    parts: list[RenderableType] = [Text(f"{calibrated.verdicts}; wanted: {found.target.kind} {found.target.value:g}")]
    parts.append(table)
    if found.check is not None:
        for name in (TOGETHER, COMBINED):
            if name in found.check.rates:
                precision, recall = _rates(found.check.rates[name])
                parts.append(Text(f"checked ({found.check.kind}), {name}: precision {precision}, recall {recall}"))
    else:
        parts.append(Text("not checked: too few verdicts to hold any back"))
    if found.combined is None:
        parts.append(Text(f"no combination: {found.combined_note}"))
    if calibrated.rejected:
        parts.append(Text(f"{counted(len(calibrated.rejected), 'verdict')} to keep would be flagged:"))
    for each in calibrated.rejected[:MOST_REJECTED]:
        flag = each.flags[0]
        limit = found.limits[flag.name]
        parts.append(Text(f"  {each.label.sample_id}, {where(each)}: {flag.name} {flag.score:.3f}, below {limit:g}"))
    if len(calibrated.rejected) > MOST_REJECTED:
        parts.append(Text(f"  … all of them in {folder / 'README.md'}"))
    fragments = THRESHOLDS_FILE + (f" or {COMBINED_FILE}" if found.combined is not None else "")
    parts.append(Text(f"written to {folder}: {fragments}, README.md, pictures"))
    parts.append(Text(f"publish with it: layerprism shard {calibrated.run.place} --config {folder / THRESHOLDS_FILE}"))
    return Group(*parts)


def _cells(score: ScoreCalibration, calibrated: CalibratedRun) -> tuple[str, ...]:
    area = "–" if score.area_interval is None else f"{score.area:.2f}"
    former = calibrated.current.get(score.name)
    limits = [limit for limit in (former, score.threshold) if limit is not None]
    threshold = " → ".join(f"{limit:g}" for limit in limits) or "–"
    rates = ("–", "–") if score.rates is None else _rates(score.rates)
    return score.name, area, threshold, *rates, score.note


def _rates(rates: Rates) -> tuple[str, str]:
    return percent(rates.precision, rates.precision_interval), percent(rates.recall, rates.recall_interval)
