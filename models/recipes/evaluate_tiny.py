"""Measures `models/layerprism-tiny` on held-out seeds and writes the numbers into its card's folder.

    python -m models.recipes.evaluate_tiny

Every label is drawn once per seed by the run's own generator and matted by the run's own matting; the judge
names what it sees. Writes `evaluation.json` and `contact_sheet.webp` beside the model, and the numbers into its card.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from evaluation.judge import Judge, load_judge
from layered.arrays import UInt8Array
from layered.rendering import contact_sheet
from layered.seeds import derive_seed
from models import TINY
from models.recipes.cards import write_section
from models.recipes.sprites import on_gray, place
from models.vocabulary import load_vocabulary
from stages.generator import Generator, load_generator
from stages.layer_flux import LayerFluxConfig, resolve_defaults
from stages.matting import MattingConfig, matter_of

RUN_SEED = 977_001  # used by no training and no shipped configuration
FLAT = 4.0  # of 255: greatest standard deviation of a background that counts as flat
BATCH = 12


@dataclass(frozen=True)
class Case:
    """One layer to draw."""

    label: str
    style: str
    seed: int

    @property
    def prompt(self) -> str:
        vocabulary = load_vocabulary()
        caption = vocabulary.label_caption(self.label)
        return vocabulary.templates.prompt.format(caption=caption, style=self.style, suffix=vocabulary.suffixes[0])


@dataclass(frozen=True)
class Outcome:
    case: Case
    named: str  # what the judge ranks first
    background_std: float
    layer: UInt8Array


def cases(seeds: int) -> list[Case]:
    """Concepts: the default style `seeds` times, the others once; colour-shape pairs: the default style once."""
    vocabulary = load_vocabulary()

    def case(label: str, style: str, number: int) -> Case:
        return Case(label, style, derive_seed(RUN_SEED, f"{label}-{style}", 0, number, "evaluate_tiny"))

    plain = vocabulary.default_style
    found = [case(label, plain, number) for label in vocabulary.concepts for number in range(seeds)]
    found += [case(label, style, 0) for label in vocabulary.concepts for style in vocabulary.styles if style != plain]
    return found + [case(label, plain, 0) for label in vocabulary.labels if label not in vocabulary.concepts]


def background_std(rgb: UInt8Array, alpha: UInt8Array) -> float:
    """Greatest standard deviation of a channel outside the object and its soft rim, in steps of 255."""
    small = np.asarray(Image.fromarray(alpha).resize((rgb.shape[1], rgb.shape[0]), Image.Resampling.BOX))
    near = ndimage.binary_dilation(small > 12, iterations=3)
    return float(rgb[~near].std(axis=0).max()) if (~near).any() else float("inf")


def draw(generator: Generator, judge: Judge, wanted: Sequence[Case]) -> tuple[list[Outcome], float]:
    """All outcomes, and the seconds that drawing took per layer."""
    matter = matter_of(MattingConfig())
    matter.setup()
    size = generator.settings.layer_sizes[0]
    outcomes, seconds = [], 0.0
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        begun = time.perf_counter()
        pictures = generator.draw([(case.prompt, case.seed) for case in batch], size)
        seconds += time.perf_counter() - begun
        layers = [matter.matte(rgb)[0] for rgb in pictures]
        for case, rgb, layer, named in zip(batch, pictures, layers, judge.best_labels(layers), strict=True):
            outcomes.append(Outcome(case, named, background_std(rgb, layer[..., 3]), layer))
    return outcomes, seconds / len(wanted)


def drawn_preferred(judge: Judge, outcomes: Sequence[Outcome]) -> float:
    """How often the judge is surer of a drawn layer than of its sprite on the same gray through the same matting.

    Over the default style's drawings of concepts; 0.5 means that the judge prefers neither.
    """
    vocabulary, matter = load_vocabulary(), matter_of(MattingConfig())
    matter.setup()
    drawn = [o for o in outcomes if o.case.label in vocabulary.concepts and o.case.style == vocabulary.default_style]
    sprites = [matter.matte(on_gray(place(o.case.label, o.case.style, 0.79, (0.0, 0.0))))[0] for o in drawn]
    rows, columns = np.arange(len(drawn)), [judge.index(outcome.case.label) for outcome in drawn]
    of_drawn = judge.log_probabilities([outcome.layer for outcome in drawn])[rows, columns]
    return float(np.mean(of_drawn > judge.log_probabilities(sprites)[rows, columns]))


def right(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.named == outcome.case.label for outcome in outcomes]))


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    vocabulary = load_vocabulary()
    concepts = [outcome for outcome in outcomes if outcome.case.label in vocabulary.concepts]
    pairs = [outcome for outcome in outcomes if outcome.case.label not in vocabulary.concepts]
    by_style = {
        style: round(right([outcome for outcome in concepts if outcome.case.style == style]), 4)
        for style in vocabulary.styles
    }
    return {
        "layers": len(outcomes),
        "top1_concepts_default_style": by_style[vocabulary.default_style],
        "top1_concepts_by_style": by_style,
        "top1_color_shape_pairs": round(right(pairs), 4),
        "top1_all": round(right(outcomes), 4),
        "flat_backgrounds": round(float(np.mean([o.background_std <= FLAT for o in outcomes])), 4),
        "median_background_std": round(float(np.median([o.background_std for o in outcomes])), 2),
        "seconds_per_layer": round(seconds, 4),
    }


def summary_table(facts: Mapping[str, Any]) -> str:
    """Markdown of `summary`."""
    styles = ", ".join(f"{style} {value:.1%}" for style, value in facts["top1_concepts_by_style"].items())
    rows = [
        ("layers drawn, each once", str(facts["layers"])),
        ("judge names the right concept of all, default style", f"{facts['top1_concepts_default_style']:.1%}"),
        ("by style", styles),
        ("judge names the right colour and shape", f"{facts['top1_color_shape_pairs']:.1%}"),
        ("all layers together", f"{facts['top1_all']:.1%}"),
        ("backgrounds flat (standard deviation ≤ 4/255 outside the object)", f"{facts['flat_backgrounds']:.1%}"),
        ("median standard deviation of the background", f"{facts['median_background_std']:.2f}/255"),
        ("judge surer of the drawing than of its sprite (0.5: prefers neither)", f"{facts['judge_prefers_drawn']:.3f}"),
        ("seconds per layer, one CPU core, batches of 12", f"{facts['seconds_per_layer']:.3f}"),
    ]
    return "\n".join(["| measured | value |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


def concept_table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: each concept's own rates and what it is taken for."""
    vocabulary = load_vocabulary()
    lines = ["| concept | default style | other styles | taken for |", "|---|---|---|---|"]
    for name in vocabulary.concepts:
        own = [outcome for outcome in outcomes if outcome.case.label == name]
        plain = [outcome for outcome in own if outcome.case.style == vocabulary.default_style]
        styled = [outcome for outcome in own if outcome.case.style != vocabulary.default_style]
        mistakes = sorted({f"{o.named} ({o.case.style})" for o in own if o.named != name})
        counts = [f"{sum(o.named == name for o in part)}/{len(part)}" for part in (plain, styled)]
        lines.append(f"| {name} | {counts[0]} | {counts[1]} | {', '.join(mistakes)} |")
    return "\n".join(lines) + "\n"


def write_sheet(outcomes: Sequence[Outcome], path: Path) -> None:
    """One drawing of every concept, the styles taking turns, over a checkerboard."""
    vocabulary = load_vocabulary()
    styles = vocabulary.styles
    shown = []
    for number, name in enumerate(vocabulary.concepts):
        style = vocabulary.default_style if number % 2 == 0 else styles[1 + number // 2 % (len(styles) - 1)]
        shown.append(next(o for o in outcomes if (o.case.label, o.case.style) == (name, style)))
    sheet = contact_sheet([o.layer for o in shown], 16, (96, 96), [o.case.label for o in shown])
    Image.fromarray(sheet).save(path, quality=30, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=TINY)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, help="instead of the model's own")
    parser.add_argument("--cfg", type=float, help="true CFG scale instead of the model's own")
    parser.add_argument("--limit", type=int, help="only so many cases, evenly chosen; nothing is written")
    arguments = parser.parse_args()
    changed = {"steps": arguments.steps, "true_cfg_scale": arguments.cfg}
    config = LayerFluxConfig(model=str(arguments.model), **{k: v for k, v in changed.items() if v is not None})
    generator, judge = load_generator(resolve_defaults(config)), load_judge()
    wanted = cases(arguments.seeds)
    if arguments.limit:
        wanted = wanted[:: max(1, len(wanted) // arguments.limit)]
    outcomes, seconds = draw(generator, judge, wanted)
    facts = summary(outcomes, seconds) | {
        "judge": judge.validity,
        "judge_prefers_drawn": round(drawn_preferred(judge, outcomes), 4),
    }
    print(json.dumps(facts, indent=1))
    if not arguments.limit:
        (arguments.model / "evaluation.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        every = f"<details><summary>Every concept</summary>\n\n{concept_table(outcomes)}\n</details>"
        card = f"{summary_table(facts)}\n\n{every}"
        write_section(arguments.model / "README.md", "layers", card)
        write_sheet(outcomes, arguments.model / "contact_sheet.webp")
        wrong = [asdict(o.case) | {"named": o.named} for o in outcomes if o.named != o.case.label]
        print(f"{len(wrong)} wrong, such as {wrong[:8]}")


if __name__ == "__main__":
    main()
