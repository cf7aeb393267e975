"""How well the filters tell sound layers from broken ones, and how rarely they are wrong.

Samples of a seed that no training has seen: sound ones of every source, each kind of defect, captions of other things.
Measured are the area under the ROC curve of each trained kind's own score against sound samples; at the shipped
thresholds, what all scores together flag; the layers of photo-like scenes, none of which should be flagged; and with
`--left-out` what is found of each kind by what was never told of it.

    python -m benchmarks.filters [--sound 700] [--broken 120] [--json FILE] [--picture FILE]
    python -m benchmarks.filters --left-out                   two minutes
    python -m benchmarks.filters --speed                      layers a second, beside the generator
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.filter_cases import SOUND, WRONG_OBJECT, Case, cases, real_cases
from benchmarks.machine import machine
from filters.alpha import alpha_scores
from filters.artifact_oddity import load_oddity
from filters.artifact_view import layer_view
from filters.artifacts import ARTIFACT, KINDS, ODDITY, ArtifactsConfig, shared_judgement
from filters.clip import ClipEncoder, shared_clip
from filters.clip_alignment import layer_alignment
from filters.config import FiltersConfig
from layered.rendering import contact_sheet
from models.recipes.artifact_training import area_under_roc
from models.recipes.cards import write_section
from models.recipes.corruptions import APPLICABLE, WHOLES, Sample
from stages.generator import load_generator
from stages.layer_flux import LayerFluxConfig, resolve_defaults
from stages.matting import MattingConfig, matter_of

Scores = Mapping[str, float]

_ALPHA_CHECKS: Final = 4  # they are sure or silent; of 1, 2, 4, 8 and 16 the best on the samples of the thresholds
REAL_LAYERS: Final = Path(__file__).resolve().parents[2] / "shared" / "real_layers"
RESULTS: Final = Path(__file__).parent / "results" / "filters.json"
PICTURE: Final = Path(__file__).resolve().parents[1] / "docs" / "images" / "filters.png"


@dataclass(frozen=True)
class Row:
    """One kind of sample: how many, what part is flagged by anything, by alpha and artifact scores, by each score, and
    the area under the ROC curve of the score that is named after the kind, against sound samples of the same sources,
    with the raw and without."""

    kind: str
    samples: int
    flagged: float
    by_pixels: float
    by_score: Mapping[str, float]
    area: float | None = None
    area_without_raw: float | None = None


def scores_of(sample: Sample, config: FiltersConfig, clip: ClipEncoder | None, with_raw: bool = True) -> Scores:
    """All scores that single layers, or a whole image, get; those of captions where `clip` is given."""
    judgement = shared_judgement(config.artifacts)
    if sample.source in WHOLES:
        return judgement.whole(sample.rgba[..., :3])
    raw = sample.raw if with_raw else None
    found = judgement.layer(sample.rgba, raw)
    if sample.source != "text":
        found = found | alpha_scores(sample.rgba, raw)
    if clip is not None and sample.label and sample.caption:
        found = found | layer_alignment(sample.rgba, sample.caption, clip)
    return found


def measure(found: Sequence[Case], config: FiltersConfig) -> list[Row]:
    """One row for sound samples, and one for each kind of defect."""
    clip, thresholds = shared_clip(config.clip), config.thresholds()
    scores = [scores_of(case.sample, config, clip) for case in found]
    blind = [scores_of(case.sample, config, None, with_raw=False) for case in found]
    rows = []
    for kind in dict.fromkeys(case.kind for case in found):
        of_kind = [index for index, case in enumerate(found) if case.kind == kind]
        flags = [flagged(scores[index], thresholds) for index in of_kind]
        by_score = {name: float(np.mean([name in each for each in flags])) for name in thresholds}
        rows.append(
            Row(
                kind,
                len(of_kind),
                float(np.mean([bool(each) for each in flags])),
                float(np.mean([any(not name.startswith("clip") for name in each) for each in flags])),
                {name: part for name, part in by_score.items() if part},
                _area(found, scores, kind),
                _area(found, blind, kind),
            )
        )
    return rows


def flagged(scores: Scores, thresholds: Scores) -> frozenset[str]:
    """The scores that lie below their thresholds."""
    return frozenset(name for name, score in scores.items() if score < thresholds.get(name, -np.inf))


def _area(found: Sequence[Case], scores: Sequence[Scores], kind: str) -> float | None:
    """Area under the ROC curve of the score named after the kind, against sound samples that could have it: garbled
    letters against letters. None where there is no such score."""
    name = f"{ARTIFACT}_{kind}"
    values: dict[str, list[float]] = {SOUND: [], kind: []}
    for case, each in zip(found, scores, strict=True):
        if case.kind in values and name in each and kind in APPLICABLE[case.sample.source]:
            values[case.kind].append(-each[name])
    if not all(values.values()):
        return None
    return area_under_roc(np.array(values[kind]), np.array(values[SOUND]))


def real_flags(config: FiltersConfig) -> tuple[int, dict[str, list[str]]]:
    """How many photo-like pictures were looked at, and which alpha and artifact scores flag any of them."""
    thresholds = config.thresholds()
    count, flags = 0, {}
    for name, sample in real_cases(REAL_LAYERS):
        count += 1
        if found := flagged(scores_of(sample, config, None), thresholds):
            flags[name] = sorted(found)
    return count, flags


def left_out(found: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Area under the ROC curve for each kind, of what was never told of any: by what finds it, and together.

    Alpha checks are closed forms, and the oddity learned from sound pictures alone. How suspicious a sample is to one
    of these is the part of sound samples, those of one half, that are as suspicious to it; together, the lesser of both
    parts, alpha checks' times four. The other half and the kind are what is measured. Sound are those that could have
    the kind: letters against garbled letters.
    """
    oddity = load_oddity(ArtifactsConfig().location)
    assert oddity is not None
    alphas, odd = [], []
    for case in found:
        sample, whole = case.sample, case.sample.source in ("text", *WHOLES)
        view = layer_view(sample.rgba, sample.raw)
        assert view is not None
        alphas.append({} if whole else alpha_scores(sample.rgba, sample.raw))
        odd.append({ODDITY: oddity.soundness(view.picture)})
    areas = {}
    for kind in KINDS:
        sound = [
            index for index, case in enumerate(found) if case.kind == SOUND and kind in APPLICABLE[case.sample.source]
        ]
        of_kind = [index for index, case in enumerate(found) if case.kind == kind]
        groups = {"alpha checks": alphas, "oddity": odd}
        parts = {name: _parts(_parts_by_name(scores, sound[::2]), sound[::2]) for name, scores in groups.items()}
        parts["together"] = np.minimum(_ALPHA_CHECKS * parts["alpha checks"], parts["oddity"])
        areas[kind] = {name: area_under_roc(-part[of_kind], -part[sound[1::2]]) for name, part in parts.items()}
    return areas


def _parts_by_name(scores: Sequence[Scores], reference: Sequence[int]) -> NDArray[np.float64]:
    """The smallest part of the reference samples that lie at or below each sample in any of its scores, ``[n]``.

    Ties count half, so that a score which is 1 for nearly everything says nothing there.
    """
    names = {name for each in scores for name in each}
    ladder = {name: np.sort([scores[i][name] for i in reference if name in scores[i]]) for name in names}
    return np.array(
        [min((_below(ladder[name], value) for name, value in each.items()), default=1.0) for each in scores]
    )


def _parts(values: NDArray[np.float64], reference: Sequence[int]) -> NDArray[np.float64]:
    """The part of the reference samples that lie at or below each value, ``[n]``: the least of many scores is low more
    often than one is."""
    ladder = np.sort(values[list(reference)])
    return np.array([_below(ladder, value) for value in values])


def _below(ladder: NDArray[np.float64], value: float) -> float:
    """The part of a ladder's values at or below one, ties counted half; 1 where there are none."""
    below = np.searchsorted(ladder, value, "left") + np.searchsorted(ladder, value, "right")
    return float(below) / (2 * len(ladder)) if len(ladder) else 1.0


def speed(config: FiltersConfig, layers: int = 24) -> dict[str, float]:
    """Milliseconds for one layer, on one core: drawing, matting, alpha checks, the classifier."""
    torch.set_num_threads(1)
    generator, matter = load_generator(resolve_defaults(LayerFluxConfig())), matter_of(MattingConfig())
    matter.setup()
    judgement = shared_judgement(config.artifacts)
    prompts = [(f"a red apple, flat style, {number}", number) for number in range(layers)]
    size = generator.settings.layer_sizes[0]
    generator.draw(prompts[:8], size)
    begun = time.perf_counter()
    raws = [raw for start in range(0, layers, 8) for raw in generator.draw(prompts[start : start + 8], size)]
    drawing = time.perf_counter() - begun
    begun = time.perf_counter()
    mattes = [matter.matte(raw)[0] for raw in raws]
    matting = time.perf_counter() - begun
    spent = {"drawing": drawing, "matting": matting}
    for name, score in (("alpha checks", alpha_scores), ("artifact classifier", judgement.layer)):
        score(mattes[0], raws[0])
        begun = time.perf_counter()
        for rgba, raw in zip(mattes, raws, strict=True):
            score(rgba, raw)
        spent[name] = time.perf_counter() - begun
    return {name: round(1000 * seconds / layers, 3) for name, seconds in spent.items()}


def write_picture(found: Sequence[Case], config: FiltersConfig, path: Path, columns: int = 9) -> None:
    """A row of sound samples and a row of each kind, with the score named after it."""
    tiles, captions = [], []
    for kind in (SOUND, *KINDS):
        # Not neighbours: those are of one source.
        of_kind = [case.sample for case in found if case.kind == kind]
        chosen = [of_kind[index] for index in np.linspace(0, len(of_kind) - 1, columns).round().astype(int)]
        for sample in chosen:
            name = ARTIFACT if kind == SOUND else f"{ARTIFACT}_{kind}"
            scores = scores_of(sample, config, None)
            score = scores.get(name)
            tiles.append(sample.rgba)
            captions.append(f"{kind} {'' if score is None else f'{score:.3f}'}")
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(contact_sheet(tiles, columns, (104, 96), captions, gap=5)).save(path, optimize=True)


def markdown(rows: Sequence[Row]) -> str:
    """The table for the model's card."""
    lines = ["| samples | n | flagged by any score | by alpha and artifact scores | area under the ROC curve "
             "| without the RGB before matting |", "|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        areas = ("–" if area is None else f"{area:.3f}" for area in (row.area, row.area_without_raw))
        flags = f"{100 * row.flagged:.1f} % | {100 * row.by_pixels:.1f} %"
        lines.append(f"| {row.kind} | {row.samples} | {flags} | {' | '.join(areas)} |")
    return "\n".join(lines)


def show(rows: Sequence[Row], thresholds: Scores) -> None:
    """Prints the table."""
    table = Table(title=f"flagged at the shipped thresholds, and areas under ROC curves ({machine()})")
    for heading in ("samples", "n", "flagged", "by pixels", "area", "area without raw", "by"):
        table.add_column(heading)
    for row in rows:
        by = sorted(row.by_score.items(), key=lambda item: -item[1])[:5]
        table.add_row(
            row.kind,
            str(row.samples),
            f"{100 * row.flagged:.1f} %",
            f"{100 * row.by_pixels:.1f} %",
            *("–" if area is None else f"{area:.4f}" for area in (row.area, row.area_without_raw)),
            ", ".join(f"{name} {100 * part:.0f}" for name, part in by),
        )
    Console(width=180).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", type=int, default=700, help="sound samples, about")
    parser.add_argument("--broken", type=int, default=120, help="samples of each kind of defect")
    parser.add_argument("--left-out", action="store_true", help="measure what finds a kind without knowing of it")
    parser.add_argument("--speed", action="store_true", help="measure times; wants a quiet machine")
    parser.add_argument("--model", default=ArtifactsConfig().model, help="another classifier's folder")
    parser.add_argument("--json", type=Path, default=RESULTS, help="what is measured is written here")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = FiltersConfig(artifacts=ArtifactsConfig(model=arguments.model))
    document: dict[str, Any] = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    if arguments.speed:
        document["milliseconds per layer"] = speed(config)
        print(json.dumps(document["milliseconds per layer"], indent=1))
    elif arguments.left_out:
        areas = left_out(cases(arguments.sound, arguments.broken))
        means = [area["together"] for area in areas.values()]
        document["left out"] = areas | {"mean": float(np.mean(means)), "minimum": min(means)}
        print(json.dumps(document["left out"], indent=1))
    else:
        found = cases(arguments.sound, arguments.broken)
        rows = measure(found, config)
        show(rows, config.thresholds())
        # Captions of other things are CLIP's to find.
        broken = [row for row in rows if row.kind not in (SOUND, WRONG_OBJECT)]
        counts = [row.samples for row in broken]
        together = {
            "by any score": float(np.average([row.flagged for row in broken], weights=counts)),
            "by alpha and artifact scores": float(np.average([row.by_pixels for row in broken], weights=counts)),
        }
        print(f"{len(found)} samples; of the broken ones flagged {together}")
        document |= {"rows": [vars(row) for row in rows], "broken flagged": together}
        if REAL_LAYERS.is_dir():
            count, flags = real_flags(config)
            document["photo-like"] = {"pictures": count, "flagged": flags}
            print(f"photo-like layers and scenes: {len(flags)} of {count} flagged {flags}")
        write_picture(found, config, arguments.picture)
        if config.artifacts == ArtifactsConfig():
            write_section(config.artifacts.location / "README.md", "filters", markdown(rows))
    arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
