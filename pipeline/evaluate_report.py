"""An evaluation as JSON, as Markdown, as charts and as a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation.intervals import Estimate
from evaluation.measurement import METRICS, Figure, Measured, Metric
from layered import UserError
from pipeline.evaluate import Evaluation, ModelResult
from pipeline.evaluate_charts import draw_comparisons, draw_metrics
from pipeline.evaluate_page import render_page

JSON_FILE: Final = "evaluation.json"
MARKDOWN_FILE: Final = "evaluation.md"
PAGE_FILE: Final = "index.html"
METRICS_CHART: Final = "metrics.png"
COMPARISONS_CHART: Final = "comparisons.png"
_DIGITS: Final = 5
_ARROWS: Final = {"higher": "↑", "lower": "↓", "": ""}


def write_evaluation(evaluation: Evaluation, out: Path) -> Path:
    """Writes all of them into `out`, the page last; returns the page. Raises UserError when that is not possible."""
    page, pictures = render_page(evaluation, table_rows(evaluation), notes(evaluation))
    files: dict[str, bytes] = dict(pictures)
    files[JSON_FILE] = (json.dumps(as_json(evaluation), indent=1, ensure_ascii=False) + "\n").encode()
    files[MARKDOWN_FILE] = markdown(evaluation).encode()
    files[METRICS_CHART] = draw_metrics(evaluation)
    if evaluation.pairs:
        files[COMPARISONS_CHART] = draw_comparisons(evaluation.pairs)
    try:
        for name, data in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)
        (out / PAGE_FILE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write into {out}: {error.strerror or error}") from error
    return out / PAGE_FILE


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """All numbers, and what they were measured on and with."""
    config, bench = evaluation.config, evaluation.bench
    columns = [*evaluation.models, *([evaluation.truth] if evaluation.truth else [])]
    return {
        "schema": 1,
        "name": config.name,
        "task": config.task,
        "seed": config.seed,
        "bench": {
            "title": bench.title,
            "briefs": len({each.item.brief.id for each in evaluation.wanted}),
            "pictures_of_each_model": len(evaluation.wanted),
            "pictures_planned": evaluation.planned,
            "named": sum(len(each.item.named) for each in evaluation.wanted),
        },
        "features": config.features.title,
        "sampler": config.sampler.model_dump(mode="json"),
        "judge": evaluation.judge.validity,
        "models": {column.name: _model_json(column) for column in columns},
        "comparisons": [
            {"first": pair.first, "second": pair.second, **_rounded(pair.result.as_json())} for pair in evaluation.pairs
        ],
        "things": {name: _things(pictures) for name, pictures in evaluation.measured.items()},
    }


def _things(pictures: Sequence[Measured]) -> dict[str, dict[str, int]]:
    """How often each label is named, and how often it is found."""
    named = Counter(label for picture in pictures for label in picture.named)
    found = Counter(label for picture in pictures for label in picture.found)
    return {label: {"named": count, "found": found[label]} for label, count in sorted(named.items())}


def _model_json(model: ModelResult) -> dict[str, Any]:
    return {
        "about": dict(model.about),
        "pictures": model.pictures,
        "lacks": model.left_out,
        "figures": {name: _figure_json(figure) for name, figure in model.figures.values.items()},
        "not_measured": dict(model.figures.missing),
    }


def _figure_json(figure: Figure) -> dict[str, Any]:
    if isinstance(figure, Estimate):
        return {"value": _rounded(figure.value), "interval": [_rounded(figure.low), _rounded(figure.high)]}
    return {"value": _rounded(figure)}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value


def table_rows(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """Each metric that any model has: its title, and a cell for each model and for the true designs."""
    columns = [*evaluation.models, *([evaluation.truth] if evaluation.truth else [])]
    return [
        (f"{metric.title} {_ARROWS[metric.better]}".strip(), [_cell(metric, column) for column in columns])
        for metric in METRICS
        if any(metric.name in column.figures.values for column in columns)
    ]


def _cell(metric: Metric, model: ModelResult) -> str:
    figure = model.figures.values.get(metric.name)
    if figure is None:
        return "–"
    if isinstance(figure, Estimate):
        low, high = (metric.shown(end).removesuffix(" %") for end in (figure.low, figure.high))
        return f"{metric.shown(figure.value)} ({low} … {high})"
    return metric.shown(figure)


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader must know to judge the numbers."""
    validity = evaluation.judge.validity
    config = evaluation.config
    lines = [
        f"{len(evaluation.wanted)} designs of each model on {evaluation.bench.title}, "
        f"{len({each.item.brief.id for each in evaluation.wanted})} briefs; in brackets 95 % intervals by the "
        "bootstrap over briefs. Trainings are few: no interval holds what another training would change.",
        f"The judge's own validity: right on {percent(validity['top1_concepts'])} of held-out sprites of concepts, on "
        f"{percent(validity['top1_pairs'])} of coloured shapes and on {percent(validity['swaps'])} of pairs with one "
        "thing exchanged.",
        f"KID and the Fréchet distance by {config.features.title}, CMMD by CLIP ({config.clip.model}); pictures of one "
        "brief are never compared with each other. Layers are those that a model drew; text is drawn by a font.",
    ]
    lines += [
        f"{model.name} lacks {model.left_out} of {evaluation.planned} designs; no model is measured on these."
        for model in evaluation.models
        if model.left_out
    ]
    reasons: dict[str, list[str]] = {}
    titles = {metric.name: metric.title for metric in METRICS}
    for model in evaluation.models:
        for name, reason in model.figures.missing.items():
            reasons.setdefault(f"{titles[name]}: {reason}", []).append(model.name)
    lines += [f"Not measured, {reason} ({', '.join(names)})." for reason, names in reasons.items()]
    return lines


def percent(share: float) -> str:
    """``59.3 %``."""
    return f"{100 * share:.1f} %"


def markdown(evaluation: Evaluation) -> str:
    """The tables."""
    columns = [model.name for model in evaluation.models] + ([evaluation.truth.name] if evaluation.truth else [])
    lines = [f"# {evaluation.config.name}", "", *(f"- {note}" for note in notes(evaluation)), ""]
    lines += [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in table_rows(evaluation)]
    if evaluation.pairs:
        lines += ["", "An image's score is the number of named things found; equal is a draw.", ""]
        lines += ["| | won | drawn | lost | wins and half of the draws |", "|---|---|---|---|---|"]
        for pair in evaluation.pairs:
            result = pair.result
            shares = " | ".join(percent(share.value) for share in (result.won, result.drawn, result.lost))
            points = f"{percent(result.points.value)} ({100 * result.points.low:.1f} … {100 * result.points.high:.1f})"
            lines.append(f"| {pair.first} against {pair.second} | {shares} | {points} |")
    lines += ["", "| model | what it is |", "|---|---|"]
    lines += [
        f"| {model.name} | {'; '.join(f'{name}: {text}' for name, text in model.about.items())} |"
        for model in evaluation.models
    ]
    return "\n".join(lines) + "\n"
