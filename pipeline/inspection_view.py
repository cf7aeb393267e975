"""What `inspect` found, for a terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from layered.scores import WHOLE_IMAGE, Score
from layered.sidecar import Sidecar
from ledger.commit import Failure
from ledger.selection import flagged
from pipeline.inspection import Inspection, SampleFacts, SampleLine

PLACES_PER_TABLE = 7
"""Layers beside each other in a table of scores."""

ATTEMPTS = "attempts"
"""The provenance entry that lists every attempt as JSON: for machines; the table shows how many there were."""

STATE_STYLES = {"published": "green", "flagged": "red", "failed": "red", "left out": "yellow"}


def render_inspection(inspection: Inspection) -> RenderableType:
    """The list of samples, or all facts of the one that was asked for."""
    if inspection.sample is not None:
        return render_sample(inspection.sample)
    noun = "sample" if inspection.total == 1 else "samples"
    parts: list[RenderableType] = [Text(f"{inspection.kind} {inspection.place}: {inspection.total:,} {noun}")]
    if inspection.samples:
        parts.append(_sample_list(inspection.samples))
    if inspection.total > len(inspection.samples):
        parts.append(Text(f"… and {inspection.total - len(inspection.samples):,} more", style="dim"))
    return Group(*parts)


def render_sample(facts: SampleFacts) -> RenderableType:
    """All facts of one sample."""
    head = Text.assemble((facts.key, "bold"), "  ", (facts.state, STATE_STYLES.get(facts.state, "")))
    parts: list[RenderableType] = [head, _summary(facts)]
    if facts.sidecar is not None and facts.sidecar.layers:
        parts += ["", _layer_table(facts.sidecar), "", _origin_table(facts.sidecar)]
    if facts.scores:
        for table in _score_tables(facts.scores, facts.thresholds):
            parts += ["", table]
    if facts.failure is not None:
        parts += ["", _failure(facts.failure)]
    return Group(*parts)


def _sample_list(samples: tuple[SampleLine, ...]) -> Table:
    table = _table(
        *(Column(name, no_wrap=True) for name in ("key", "canvas", "layers", "style", "state")),
        Column("caption"),  # alone without no_wrap, so that it gives way where the terminal is narrow
    )
    for line in samples:
        canvas = f"{line.canvas[0]}×{line.canvas[1]}" if line.canvas else "–"
        state = Text(line.state, style=STATE_STYLES.get(line.state, ""))
        caption = Text(line.caption, no_wrap=True, overflow="ellipsis")
        table.add_row(line.key, canvas, str(line.layers), Text(line.style), state, caption)
    return table


def _summary(facts: SampleFacts) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("in", Text(facts.place))
    sidecar = facts.sidecar
    if sidecar is None:
        return grid
    grid.add_row("canvas", f"{sidecar.canvas[0]}×{sidecar.canvas[1]}")
    for name, text in (
        ("style", sidecar.style_category),
        ("caption", sidecar.whole_caption),
        ("base image", sidecar.base_caption),
        ("decision", sidecar.decision),
        *((name, text) for name, text in sidecar.provenance.items() if name != ATTEMPTS),
    ):
        if text:
            grid.add_row(Text(name), Text(text))
    drawn_by = dict.fromkeys((layer.model, layer.revision, layer.licence) for layer in sidecar.layers if layer.model)
    for source in drawn_by:
        grid.add_row("drawn by", Text(" · ".join(part for part in source if part)))
    return grid


def _layer_table(sidecar: Sidecar) -> Table:
    """What the layers show, and where."""
    names = ("layer", "kind", "caption", "box", "box asked for")
    table = _table(*(Column(name, no_wrap=name != "caption") for name in names))
    for layer in sidecar.layers:
        boxes = (", ".join(map(str, box)) for box in (layer.box, layer.layout_box))
        table.add_row(str(layer.index), layer.kind, Text(layer.caption), *boxes)
    return table


def _origin_table(sidecar: Sidecar) -> Table:
    """What the layers were drawn from: the chosen attempt and its seed, or text, font and colour."""
    numbers = (Column(name, justify="right", no_wrap=True) for name in ("attempt", "seed"))
    texts = (Column(name, overflow="fold") for name in ("text", "font", "color"))
    table = _table(Column("layer"), *numbers, *(texts if any(layer.text for layer in sidecar.layers) else ()))
    tried = Counter(attempt["layer"] for attempt in json.loads(sidecar.provenance.get(ATTEMPTS) or "[]"))
    for layer in sidecar.layers:
        attempt = f"{layer.attempt + 1} of {tried[layer.index]}" if tried[layer.index] else "–"
        cells = (attempt, f"{layer.seed}", Text(layer.text), Text(layer.font), Text(layer.color))
        table.add_row(f"{layer.index}", *cells[: len(table.columns) - 1])
    return table


def _score_tables(scores: tuple[Score, ...], thresholds: Mapping[str, float]) -> list[Table]:
    """A row for each score, a column for the whole image and for each layer, in tables that fit a narrow terminal."""
    places = sorted({score.layer_index for score in scores})
    return [
        _score_table(scores, thresholds, places[start : start + PLACES_PER_TABLE])
        for start in range(0, len(places), PLACES_PER_TABLE)
    ]


def _score_table(scores: tuple[Score, ...], thresholds: Mapping[str, float], places: Sequence[int]) -> Table:
    """What is flagged is marked by a star."""
    flags = set(flagged(scores, thresholds))
    by_place = {(score.layer_index, score.name): score for score in scores}
    headers = ("whole" if place == WHOLE_IMAGE else f"{place}" for place in places)
    table = _table(Column("score", no_wrap=True), *(Column(name, justify="right") for name in ("at least", *headers)))
    for name in sorted({score.name for score in scores}):
        lowest = f"{thresholds[name]:g}" if name in thresholds else ""
        table.add_row(name, lowest, *(_score_cell(by_place.get((place, name)), flags) for place in places))
    return table


def _score_cell(score: Score | None, flags: set[Score]) -> Text:
    if score is None:
        return Text("")
    return Text(f"{score.score:.2f}*", style="bold red") if score in flags else Text(f"{score.score:.2f} ")


def _failure(failure: Failure) -> Group:
    where = f" of layer {failure.layer_index}" if failure.layer_index >= 0 else ""
    return Group(
        Text(f"failed in {failure.stage}{where}: {failure.error}", style="red"),
        Text(f"it was given {failure.inputs}", style="dim"),
        Text(failure.traceback),
    )


def _table(*columns: Column) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
