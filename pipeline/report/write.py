"""`RUN/report/`: a page and pictures that show a newcomer what a run made, and its owner where it can be better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from layered.png import encode_png
from ledger.index import RunCounts, RunIndex
from ledger.run_directory import FINGERPRINT_PARTS, REPORT_FOLDER, RunDirectory
from ledger.selection import Selection
from ledger.storage import Storage
from pipeline.chunk_flow import LAYER_FLUX
from pipeline.config import RunConfig
from pipeline.estimate import stored_estimate
from pipeline.estimate_view import ForecastRow, compare
from pipeline.forecast import truth_of
from pipeline.report.charts import draw_scores, draw_timeline
from pipeline.report.gallery import exploded_samples, gallery, reject_gallery
from pipeline.report.page import PICTURES_FOLDER, Number, PageContent, render_page
from pipeline.report.sheets import draw_contact_sheet, draw_layers, draw_rejected
from pipeline.report.statistics import (
    PlanNumbers,
    StageTime,
    plan_numbers,
    score_numbers,
    score_table,
    sitting_of,
    stage_times,
)
from pipeline.report.wording import counted
from pipeline.report_config import ReportConfig
from pipeline.timings import read_timings

PAGE_FILE = "index.html"
EXPLODED_SAMPLES = 4
MOST_FAILURES = 50
_WRITTEN_AT_ONCE = 16
"""Files that are sent to an object store at the same time."""


def write_report(
    run: RunDirectory,
    selection: Selection,
    thresholds: Mapping[str, float],
    config: ReportConfig,
    facts: Mapping[str, str],
    driven: RunConfig | None = None,
) -> str:
    """Draws the report of a run anew. What there is no data for is left out.

    Files are replaced one by one and the page last, so that a report that is open in a browser stays whole.

    Args:
        selection: what was published and what was not.
        thresholds: lowest acceptable score by name.
        facts: name → text, shown beside what ``run.json`` says.
        driven: the run's configuration; with it, a run that began with a forecast is compared with it.

    Returns:
        Where the page is.
    """
    index = RunIndex.load(run.storage)
    cards = gallery(index, selection, config.samples)
    rejected = reject_gallery(index, selection, thresholds, config.rejected)
    published = [card for card in cards if not card.reason]
    exploded = exploded_samples(index, selection, EXPLODED_SAMPLES)
    scores = score_numbers(chain(index.score_batches(), [score_table(selection.derived)]), thresholds)
    sittings = read_timings(run.storage)
    stages = stage_times(sittings)
    failures = index.failures()
    plan = plan_numbers(run, run.info[FINGERPRINT_PARTS].get("layer_flux.batch_size"))
    page, thumbnails = render_page(
        PageContent(
            name=_name(run),
            subtitle=_subtitle(run, index.counts()),
            facts=_facts(run, facts),
            numbers=_numbers(plan, index.counts(), selection, stages),
            exploded=exploded,
            samples=published,
            samples_note=_samples_note(len(published), len(selection.published)),
            rejected=rejected,
            reasons_note=_reasons_note(selection),
            scores=scores,
            stages=stages,
            forecast=_forecast(run, driven, selection),
            failures=dict(list(failures.items())[:MOST_FAILURES]),
            failures_note=_failures_note(len(failures)),
        )
    )
    files = dict(thumbnails)
    if cards:
        files["contact_sheet.png"] = encode_png(draw_contact_sheet(cards))
    if exploded:
        files["layers.png"] = encode_png(draw_layers(exploded))
    if rejected:
        files["rejected.png"] = encode_png(draw_rejected(rejected))
    if scores:
        files["scores.png"] = draw_scores(scores)
    if sittings:
        files["timeline.png"] = draw_timeline(sitting_of(sittings[-1]))
    return _replace_files(run.storage, files, page)


def _replace_files(storage: Storage, files: Mapping[str, bytes], page: str) -> str:
    """Puts the pictures in place, then the page that shows them, then takes away what no page shows any more."""
    contents = {f"{REPORT_FOLDER}/{name}": data for name, data in files.items()}

    def write(name: str) -> None:
        # Not durable: a report that is lost in a power cut is drawn again, and a thousand flushes take seconds.
        storage.write(name, contents[name], durable=False)

    with ThreadPoolExecutor(1 if storage.is_local else _WRITTEN_AT_ONCE) as writers:
        list(writers.map(write, contents))
    shown = f"{REPORT_FOLDER}/{PAGE_FILE}"
    storage.write(shown, page.encode(), durable=False)
    for name in (*storage.list(REPORT_FOLDER), *storage.list(f"{REPORT_FOLDER}/{PICTURES_FOLDER}")):
        if name not in contents and name != shown:
            storage.remove(name)
    return storage.describe(shown)


def _forecast(run: RunDirectory, driven: RunConfig | None, selection: Selection) -> list[ForecastRow]:
    forecast = stored_estimate(run)
    if forecast is None or driven is None:
        return []
    return compare(forecast, truth_of(run, driven, {selected.sample_id for selected in selection.published}))


def _name(run: RunDirectory) -> str:
    place = run.place if not run.storage.is_local else str(run.path.resolve())
    return str(run.info.get("config", {}).get("name") or place.rstrip("/").rpartition("/")[2])


def _drawing_model(run: RunDirectory) -> Mapping[str, Any]:
    model: Mapping[str, Any] = run.info.get("models", {}).get(LAYER_FLUX, {})
    return model


def _subtitle(run: RunDirectory, counts: RunCounts) -> str:
    drawn_by = f", drawn by {model}" if (model := _drawing_model(run).get("model")) else ""
    return f"{counted(counts.finished, 'layered image')} of {counted(counts.layers, 'transparent layer')}{drawn_by}."


def _facts(run: RunDirectory, facts: Mapping[str, str]) -> dict[str, str]:
    """What ``run.json`` says of the run's origin, and what the caller adds to it."""
    model = _drawing_model(run)
    told = {name: str(model.get(name) or "") for name in ("model", "revision", "licence")}
    told["fingerprint"] = run.fingerprint
    told |= facts
    software = {name: version for name, version in run.info.get("software", {}).items() if version}
    if software:
        told["software"] = ", ".join(f"{name} {version}" for name, version in software.items())
    return {name: text for name, text in told.items() if text}


def _numbers(plan: PlanNumbers, counts: RunCounts, selection: Selection, stages: Sequence[StageTime]) -> list[Number]:
    numbers = [
        Number(f"{counts.finished:,} of {plan.samples:,}", "samples finished"),
        Number(f"{len(selection.published):,}", "published"),
    ]
    numbers += [Number(f"{count:,}", reason) for reason, count in selection.reasons().items()]
    numbers.append(Number(f"{counts.layers:,}", "transparent layers"))
    drawing = next((stage for stage in stages if stage.stage == LAYER_FLUX), None)
    if drawing is not None:
        numbers.append(Number(f"{drawing.items:,}", f"pictures drawn for {plan.pictures:,} wanted"))
        numbers.append(Number(f"{drawing.seconds_per_item:.2f} s", "to draw a picture"))
    if plan.batch_fill is not None:
        numbers.append(Number(f"{plan.batch_fill:.0%}", "of the places in batches filled"))
    return numbers


def _samples_note(shown: int, published: int) -> str:
    if shown == published:
        return f"All {counted(published, 'published sample')}."
    return f"{shown:,} of {counted(published, 'published sample')}, from all over the run."


def _reasons_note(selection: Selection) -> str:
    reasons = [f"{count:,} {reason}" for reason, count in selection.reasons().items() if reason != "failed"]
    return f"In all: {', '.join(reasons)}." if reasons else ""


def _failures_note(failures: int) -> str:
    note = f"{counted(failures, 'sample')} could not be made."
    return note if failures <= MOST_FAILURES else f"{note} The first {MOST_FAILURES} are listed."
