"""Does calibration keep its word? Known faults, the real filters, reviewers who see a biased part of a run.

Designs of three exact sprites on a painted scene; in a third of them one layer is broken in one of the ways of
`models/recipes/corruptions.py`, or shows something else than its caption. All filters of the default configuration
score them. A reviewer, who errs in one verdict of thirty, sees the doubtful ones much more often than the others, and a
random audit. `calibrate` chooses by these verdicts; the truth is what the same reviewer would have said of all designs.
Reviewing is repeated with other draws, to see how often the 95 % intervals of the check hold the truth.

    python -m benchmarks.calibration [--designs 1200] [--reviews 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from filters.calibration import TOGETHER, Calibration, Observations, calibrate, passes_all, probabilities
from filters.combined import COMBINED, worst_scores
from filters.config import FiltersConfig
from filters.filter import FilterInput
from filters.operating_points import Mask, Target, rates
from filters.registry import build_filters
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.placing import fit, trim
from layered.sidecar import LayerRecord, Sidecar
from models.recipes.captions import scene_caption, things_phrase
from models.recipes.corruptions import ALPHA_CORRUPTIONS, CORRUPTIONS, Sample
from models.recipes.scenes import paint
from models.recipes.sprites import on_gray, place
from models.vocabulary import load_vocabulary

SIDE = 128
CANVAS = (288, 224)
BOXES = (Box(16, 16, 112, 112), Box(168, 24, 272, 128), Box(80, 112, 184, 216))
WRONG_OBJECT = "wrong_object"
KINDS = (*(kind for kind in CORRUPTIONS if kind != "lettering"), *ALPHA_CORRUPTIONS, WRONG_OBJECT)
BROKEN = 1 / 3
ERRORS = 1 / 30
AUDIT = 0.15
DOUBTFUL_FIRST = {True: 0.8, False: 0.2}
"""Chance of a design to be reviewed outside the audit, by whether its clip_margin is in the lowest third."""

DEFAULT = "default thresholds"


@dataclass(frozen=True)
class Row:
    """One set of rules: its true precision and recall, what the check said of them on average, and how often the
    check's intervals held the truth; all in 0…1. The defaults were not chosen by verdicts, so nobody checked them."""

    rules: str
    precision: float
    recall: float
    told_precision: float | None = None
    told_recall: float | None = None
    precision_held: float | None = None
    recall_held: float | None = None


def scored_designs(count: int, config: FiltersConfig, seed: int) -> tuple[list[Mapping[str, float]], list[str]]:
    """The worst score by name of each design, and what is wrong with it: a name of `KINDS`, or nothing."""
    filters = build_filters(config)
    for each in filters:
        each.setup()
    scores: list[Mapping[str, float]] = []
    faults = []
    for number in range(count):
        sample, fault = draw_design(number, seed)
        rows = [row for each in filters for row in each.score([sample])[0].scores]
        scores.append(worst_scores(rows))
        faults.append(fault)
    return scores, faults


def draw_design(number: int, seed: int) -> tuple[FilterInput, str]:
    """A design and its fault; an empty text for a sound one."""
    rng = np.random.default_rng([seed, number])
    vocabulary = load_vocabulary()
    scene = list(vocabulary.scenes.values())[rng.integers(len(vocabulary.scenes))]
    color = str(rng.choice(list(vocabulary.colors))) if scene.takes_color else None
    labels = [str(label) for label in rng.choice(list(vocabulary.concepts), len(BOXES), replace=False)]
    fault = str(rng.choice(KINDS)) if rng.random() < BROKEN else ""
    broken = int(rng.integers(len(BOXES)))
    layers, raws, records = [], {}, []
    for index, (label, box) in enumerate(zip(labels, BOXES, strict=True)):
        shown = labels[index - 1] if fault == WRONG_OBJECT and index == broken else label
        image = place(shown, vocabulary.default_style, float(rng.uniform(0.6, 0.85)), (0.0, 0.0), SIDE)
        caption = vocabulary.label_caption(label)
        drawn = Sample("sprite", np.array(image), on_gray(image), label=shown, style="cartoon", caption=caption)
        if index == broken and fault in {**CORRUPTIONS, **ALPHA_CORRUPTIONS}:
            drawn = {**CORRUPTIONS, **ALPHA_CORRUPTIONS}[fault](drawn, rng)
        pixels, placed = fit(trim(drawn.rgba, 12), box)
        layers.append(Layer(pixels, placed))
        assert drawn.raw is not None
        raws[index] = drawn.raw
        records.append(
            LayerRecord.model_validate(
                {"index": index, "kind": "image", "caption": caption, "seed": 0, "attempt": 0}
                | {"box": placed.as_list(), "layout_box": box.as_list()}
                | dict.fromkeys(("sha256", "model", "revision", "licence"), "")
            )
        )
    base = scene_caption(scene, color, rng)
    sidecar = Sidecar(
        id=f"s{number:07d}",
        canvas=CANVAS,
        style_category=vocabulary.default_style,
        whole_caption=f"{things_phrase(labels, rng)} on {base}",
        base_caption=base,
        layer_count=len(records),
        layers=tuple(records),
    )
    image_ = LayeredImage(paint(scene.name, color, CANVAS, rng), tuple(layers))
    return FilterInput(sidecar.id, image_, sidecar, raws), fault


def all_verdicts(scores: Sequence[Mapping[str, float]], faults: Sequence[str]) -> Observations:
    """What the reviewer would say of all designs."""
    names = tuple(sorted({name for row in scores for name in row}))
    good = np.array([not fault for fault in faults]) ^ (np.random.default_rng(7).random(len(faults)) < ERRORS)
    count = len(faults)
    table = np.array([[row.get(name, np.nan) for name in names] for row in scores], np.float64)
    return Observations(
        names, table, good, np.ones(count), np.arange(count), np.ones(count, bool), np.zeros(count, bool)
    )


def reviewed(everything: Observations, seed: int) -> Observations:
    """The verdicts of one review, with the chance that each came into its queue."""
    rng = np.random.default_rng(seed)
    margin = everything.scores[:, everything.names.index("clip_margin")]
    chance = np.where(margin < np.quantile(margin, 1 / 3), DOUBTFUL_FIRST[True], DOUBTFUL_FIRST[False])
    audit = rng.random(len(everything)) < AUDIT
    queued = ~audit & (rng.random(len(everything)) < chance)
    weights = np.where(audit, 1 / AUDIT, 1 / ((1 - AUDIT) * chance))
    return dataclasses.replace(everything, weights=weights, audit=audit).only(audit | queued)


def measure(everything: Observations, current: Mapping[str, float], target: Target, reviews: int) -> list[Row]:
    """What calibration chooses in each review, on what it was not chosen by."""
    found = [calibrate(reviewed(everything, seed), target, current) for seed in range(reviews)]
    rows = [Row(DEFAULT, *rates(passes_all(everything, current), everything.good, everything.weights))]
    return [*rows, *(_row(name, everything, found) for name in (TOGETHER, COMBINED))]


def _row(name: str, everything: Observations, found: Sequence[Calibration]) -> Row:
    told, true, held = [], [], []
    for each in found:
        assert each.check is not None
        if name not in each.check.rates:
            continue
        check = each.check.rates[name]
        truth = rates(_passes(name, everything, each), everything.good, everything.weights)
        true.append(truth)
        told.append((check.precision, check.recall))
        intervals = check.precision_interval, check.recall_interval
        held.append([interval.low <= rate <= interval.high for interval, rate in zip(intervals, truth, strict=True)])
    means = [float(value) for values in (true, told, held) for value in np.mean(values, axis=0)]
    return Row(name, *means)


def _passes(name: str, everything: Observations, found: Calibration) -> Mask:
    if name == TOGETHER:
        return passes_all(everything, found.thresholds)
    assert found.combined is not None
    passed: Mask = probabilities(everything, found.combined) >= found.limits[COMBINED]
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=1200)
    parser.add_argument("--reviews", type=int, default=20)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    config, target = FiltersConfig(), Target("recall", arguments.recall)
    everything = all_verdicts(*scored_designs(arguments.designs, config, arguments.seed))
    rows = measure(everything, config.thresholds(), target, arguments.reviews)
    reviewed_designs = len(reviewed(everything, 0))
    print(
        f"{arguments.designs} designs, {everything.good.mean():.1%} of them kept; {reviewed_designs} reviewed at a time"
    )
    print("\n| rules | precision | recall | check says | interval holds the truth |\n|---|---|---|---|---|")
    for row in rows:
        says = holds = "–"
        if row.told_precision is not None:
            says = f"{row.told_precision:.1%}, {row.told_recall:.1%}"
            holds = f"{row.precision_held:.0%}, {row.recall_held:.0%}"
        print(f"| {row.rules} | {row.precision:.1%} | {row.recall:.1%} | {says} | {holds} |")
    if arguments.json:
        document = {
            "machine": machine(),
            "designs": arguments.designs,
            "kept": float(everything.good.mean()),
            "reviewed": reviewed_designs,
            "reviews": arguments.reviews,
            "target": dataclasses.asdict(target),
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
