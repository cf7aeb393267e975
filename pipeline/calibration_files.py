"""What `layerprism calibrate` leaves behind: configuration fragments, numbers, a page of tables, pictures.

thresholds.yaml        each score's own threshold, for `layerprism shard RUN --config`
combined.yaml          the logistic combination in place of the scores that it is made of
calibration.json       every number
README.md              the tables
precision_recall.png   a panel per score
rejected_kept.png      what people kept and would be flagged; only where there is any
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filters.calibration import TOGETHER, ScoreCalibration
from filters.intervals import Interval, Rates
from layered.errors import UserError
from layered.png import encode_png
from layered.scores import WHOLE_IMAGE
from pipeline.calibrate import CalibratedRun, RejectedKept
from pipeline.calibration_pictures import draw_curves, draw_rejected_kept

CALIBRATION_FOLDER = "calibration"
THRESHOLDS_FILE = "thresholds.yaml"
COMBINED_FILE = "combined.yaml"


def write_calibration(calibrated: CalibratedRun, out: Path | None = None) -> Path:
    """Writes all files; those that an earlier calibration left and this one does not have are removed.

    Args:
        out: the folder; ``RUN/calibration`` otherwise, or ``calibration`` here for a run in an object store.

    Returns:
        The folder.

    Raises:
        UserError: when the folder cannot be written.
    """
    run = calibrated.run
    folder = out or (run.path / CALIBRATION_FOLDER if run.storage.is_local else Path(CALIBRATION_FOLDER))
    files: dict[str, bytes | None] = {
        THRESHOLDS_FILE: thresholds_fragment(calibrated).encode(),
        COMBINED_FILE: fragment.encode() if (fragment := combined_fragment(calibrated)) else None,
        "calibration.json": (json.dumps(numbers(calibrated), indent=2, ensure_ascii=False) + "\n").encode(),
        "README.md": page(calibrated).encode(),
        "precision_recall.png": draw_curves(calibrated),
        "rejected_kept.png": encode_png(draw_rejected_kept(calibrated)) if calibrated.rejected else None,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            if data is None:
                (folder / name).unlink(missing_ok=True)
            else:
                (folder / name).write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write the calibration to {folder}: {error.strerror or error}") from error
    return folder


def thresholds_fragment(calibrated: CalibratedRun) -> str:
    """YAML with the chosen thresholds."""
    chosen = [score for score in calibrated.calibration.scores if score.threshold is not None]
    lines = [*_head(calibrated), "filters:" if chosen else "filters: {}"]
    for score in chosen:
        assert score.rates is not None
        told = f"precision {score.rates.precision:.3f}, recall {score.rates.recall:.3f}"
        lines.append(f"  {score.name}: {{threshold: {score.threshold!r}}}  # {told}")
    return "\n".join(lines) + "\n"


def combined_fragment(calibrated: CalibratedRun) -> str | None:
    """YAML with the logistic combination; the scores in it flag nothing by themselves. None where none was learned."""
    combined = calibrated.calibration.combined
    if combined is None:
        return None
    lines = [*_head(calibrated), "filters:"]
    lines += [f"  {term.score}: {{threshold: null}}  # counts in the combination alone" for term in combined.terms]
    lines += [
        "  combined:",
        "    enabled: true",
        f"    threshold: {combined.threshold!r}",
        f"    bias: {combined.bias!r}",
    ]
    lines += ["    terms:"]
    lines += [
        f"      - {{score: {term.score}, weight: {term.weight!r}, center: {term.center!r}}}" for term in combined.terms
    ]
    return "\n".join(lines) + "\n"


def numbers(calibrated: CalibratedRun) -> dict[str, Any]:
    """Everything that was measured, as JSON values; what is not a number is null."""
    found = calibrated.calibration
    scores = [*found.scores, *([found.combined_score] if found.combined_score else [])]
    document = {
        "target": asdict(found.target),
        "verdicts": {
            "samples": int(calibrated.observations.whole.sum()),
            "layers": int((~calibrated.observations.whole).sum()),
            "audit": int(calibrated.observations.audit.sum()),
            "without scores": calibrated.left_out,
        },
        "scores": {score.name: _numbers_of(score, calibrated) for score in scores},
        "together": asdict(found.together),
        "combined": found.combined.model_dump(mode="json") if found.combined else {"note": found.combined_note},
        "check": {"kind": found.check.kind, "rates": {name: asdict(rates) for name, rates in found.check.rates.items()}}
        if found.check
        else None,
        "rejected_kept": [_rejected_numbers(each) for each in calibrated.rejected],
        "reasons": [asdict(each) for each in calibrated.reasons],
    }
    finite: dict[str, Any] = _finite(document)
    return finite


def page(calibrated: CalibratedRun) -> str:
    """The tables as Markdown."""
    found = calibrated.calibration
    lines = [
        f"# Calibration for a {found.target.kind} of {found.target.value:g}",
        "",
        f"{calibrated.verdicts}. A sample passes when its score is at or above the threshold. *Precision*: how much of "
        "what passes is good; *recall*: how much of what is good passes; both for the whole run, verdicts weighted by "
        "1 / inclusion probability, with 95 % intervals, at the chosen threshold or, where none was chosen, at the "
        "former one. Verdicts on whole samples see their worst layer.",
        "",
        "![Precision and recall](precision_recall.png)",
        "",
        "| score | good, bad | AUROC | threshold | was | precision | recall | note |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(score, calibrated) for score in found.scores),
        _row_of_rates(f"**{TOGETHER}**", found.together),
    ]
    if found.combined_score is not None:
        lines.append(_row(found.combined_score, calibrated))
    if found.combined is None:
        lines += ["", f"No combination: {found.combined_note}."]
    lines += ["", *_check_lines(calibrated), *_reason_lines(calibrated), *_rejected_lines(calibrated)]
    return "\n".join(lines) + "\n"


def percent(rate: float, interval: Interval) -> str:
    """``91.2 % (88.0–93.6)``."""
    if math.isnan(rate):
        return "–"
    return f"{100 * rate:.1f} % ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def _head(calibrated: CalibratedRun) -> list[str]:
    target = calibrated.calibration.target
    return [
        f"# Chosen by `layerprism calibrate` for a {target.kind} of {target.value:g}, from {calibrated.verdicts}.",
        "# Publish with it: layerprism shard RUN --config THIS_FILE. Or copy it into the run's configuration.",
    ]


def _check_lines(calibrated: CalibratedRun) -> list[str]:
    check = calibrated.calibration.check
    if check is None:
        return ["There are too few verdicts to hold any back for a check."]
    how = {
        "audit": "On the random audit, which had no part in the choice:",
        "cross-fitted": "Cross-fitted: each fifth of the samples under thresholds that the other four fifths chose:",
    }[check.kind]
    head = ["", "| | good, bad | rejected | precision | recall |", "|---|---|---|---|---|"]
    rows = [
        f"| {name} | {rates.good}, {rates.bad} | {rates.rejected_good} good, {rates.rejected_bad} bad "
        f"| {percent(rates.precision, rates.precision_interval)} | {percent(rates.recall, rates.recall_interval)} |"
        for name, rates in check.rates.items()
    ]
    return ["## Checked", "", how, *head, *rows, ""]


def _reason_lines(calibrated: CalibratedRun) -> list[str]:
    if not calibrated.reasons:
        return []
    rows = [
        f"| {each.reason} | {each.bad} | {each.by_thresholds} | "
        f"{'–' if each.by_combined is None else each.by_combined} |"
        for each in calibrated.reasons
    ]
    head = ["| reason | bad | caught by thresholds | by the combination |", "|---|---|---|---|"]
    return ["## What is caught, by the reasons people gave", "", *head, *rows, ""]


def _rejected_lines(calibrated: CalibratedRun) -> list[str]:
    title = "## Kept by people, flagged by the thresholds or the combination"
    if not calibrated.rejected:
        return [title, "", "None."]
    limits = calibrated.calibration.limits
    rows = [
        f"| {each.label.sample_id} | {where(each)} | "
        + "; ".join(f"{flag.name} {flag.score:.3f} < {limits[flag.name]:g}" for flag in each.flags)
        + " |"
        for each in calibrated.rejected
    ]
    return [
        title,
        "",
        "A person overrules a threshold, so these stay published; others like them, which nobody has looked at, go.",
        "",
        "![Kept by people, flagged](rejected_kept.png)",
        "",
        "| sample | verdict on | flagged by |",
        "|---|---|---|",
        *rows,
    ]


def where(rejected: RejectedKept) -> str:
    """What the verdict is on."""
    index = rejected.label.layer_index
    return "the sample" if index == WHOLE_IMAGE else f"layer {index}"


def _row(score: ScoreCalibration, calibrated: CalibratedRun) -> str:
    interval = score.area_interval
    area = "–" if interval is None else f"{score.area:.3f} ({interval.low:.3f}–{interval.high:.3f})"
    threshold = "–" if score.threshold is None else f"**{score.threshold:g}**"
    was = f"{calibrated.current[score.name]:g}" if score.name in calibrated.current else "–"
    rates = score.rates
    told = "– | –"
    if rates is not None:
        told = f"{percent(rates.precision, rates.precision_interval)} | {percent(rates.recall, rates.recall_interval)}"
    return f"| {score.name} | {score.good}, {score.bad} | {area} | {threshold} | {was} | {told} | {score.note} |"


def _row_of_rates(name: str, rates: Rates) -> str:
    told = f"{percent(rates.precision, rates.precision_interval)} | {percent(rates.recall, rates.recall_interval)}"
    return f"| {name} | {rates.good}, {rates.bad} | – | – | – | {told} | |"


def _numbers_of(score: ScoreCalibration, calibrated: CalibratedRun) -> dict[str, Any]:
    return {
        "good": score.good,
        "bad": score.bad,
        "auroc": score.area,
        "auroc_interval": asdict(score.area_interval) if score.area_interval else None,
        "threshold": score.threshold,
        "former_threshold": calibrated.current.get(score.name),
        "note": score.note,
        "rates": asdict(score.rates) if score.rates else None,
    }


def _rejected_numbers(rejected: RejectedKept) -> dict[str, Any]:
    return {
        "sample_id": rejected.label.sample_id,
        "layer_index": rejected.label.layer_index,
        "flags": [{"layer_index": flag.layer_index, "name": flag.name, "score": flag.score} for flag in rejected.flags],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
