"""Measures the tiny ART on held-out designs, for its card, `docs/benchmarks.md` and `benchmarks/results/`.

    python -m models.recipes.evaluate_art [--choose]

Prompts name some of the things of a design that was never trained on, layouts are its anonymous boxes. The judge, which
no model was trained or chosen with, says what the drawn layers show; an anonymous layout lets any thing take any box,
so layers and named things are matched one to one. Beside it stand chance (the prompts of other designs) and what the
judge finds in the exact designs themselves. `--choose` picks the guidance on another set of designs instead.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from art_model.checkpoint import Art, load_art
from art_model.request import Held, Layout, SampleRequest
from art_model.sampling import SamplerSettings, sample_batch, settings_for
from evaluation.concepts import empty_or_repeated, found
from evaluation.intervals import Rate, mean_rate
from evaluation.judge import Judge, load_judge
from evaluation.similarity import psnr
from layered.arrays import UInt8Array
from layered.image import LayeredImage
from layered.rendering import contact_sheet
from models import TINY
from models.recipes.art_designs import (
    CANVASES,
    EVALUATION,
    LAYERS,
    VALIDATION,
    ArtDesign,
    Caption,
    draw_art_design,
    partial_caption,
)
from models.recipes.captions import scene_caption, whole_caption
from models.recipes.cards import write_section
from models.vocabulary import load_vocabulary

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results" / "art_sampling.json"
PICTURE = REPOSITORY / "docs" / "images" / "art.png"
BENCHMARKS = REPOSITORY / "docs" / "benchmarks.md"
BATCH = 16
SCALES = (1.3, 1.4, 1.5)
SPOILED_AT_MOST = 0.09  # one part in ten below what other designs may show


@dataclass(frozen=True, eq=False)
class Case:
    """A held-out design with the prompt that ART gets for it."""

    id: str
    design: ArtDesign
    caption: Caption

    @property
    def layout(self) -> Layout:
        return Layout(self.design.image.canvas, tuple(layer.box for layer in self.design.image.layers))


def cases(stream: int, count: int) -> list[Case]:
    """Designs of 128 × 128 whose numbers of layers take turns."""
    found = []
    for index in range(count):
        rng = np.random.default_rng([stream, index])
        layers = LAYERS[0] + index % (LAYERS[1] - LAYERS[0] + 1)
        while len((design := draw_art_design(rng, CANVASES[0], layers)).image.layers) < layers:
            pass  # the canvas was too crowded
        found.append(Case(f"{stream}-{index:03d}", design, partial_caption(design.contents, rng)))
    return found


def sampled(
    art: Art, wanted: Sequence[Case], settings: SamplerSettings, held: Callable[[int], Held] | None = None
) -> list[LayeredImage]:
    """One sample of each case; `held` gives what is held for the case of a number."""
    requests = [
        SampleRequest(case.caption.text, case.layout, held=held(number) if held else Held(), sample_id=case.id)
        for number, case in enumerate(wanted)
    ]
    images: list[LayeredImage] = []
    for start in range(0, len(requests), BATCH):
        images += sample_batch(art, requests[start : start + BATCH], settings)
    return images


def measured(judge: Judge, wanted: Sequence[Case], images: Sequence[LayeredImage]) -> dict[str, Any]:
    """What the judge finds in the images, and whether their layers add up to their own merged images."""
    named = [len(case.caption.named) for case in wanted]
    layers = [len(image.layers) for image in images]
    hits = [len(found(judge, image, case.caption.named)) for case, image in zip(wanted, images, strict=True)]
    strangers = [(number, (number + shift) % len(wanted)) for shift in (5, 15, 25) for number in range(len(wanted))]
    chance = [len(found(judge, images[number], wanted[other].caption.named)) for number, other in strangers]
    spoiled = [empty_or_repeated(judge, image) for image in images]
    in_theme = [_in_contents(judge, case, image) for case, image in zip(wanted, images, strict=True)]
    facts = {
        "designs": len(wanted),
        "named": sum(named),
        "named_found": Rate(hits, named).as_json(),
        "named_found_by_chance": Rate(chance, [named[other] for _, other in strangers]).as_json(),
        "empty_or_repeated": Rate(spoiled, layers).as_json(),
        "exactly_the_designs_things": Rate(in_theme, layers).as_json(),
    }
    recomposed = [psnr(image.whole(), image.merged) for image in images if image.merged is not None]
    if recomposed:
        facts["recomposition_psnr"] = mean_rate(recomposed).as_json()
    by_count: dict[str, Any] = {}
    for count in sorted(set(layers)):
        rows = [number for number, own in enumerate(layers) if own == count]
        by_count[str(count)] = {
            "designs": len(rows),
            "named_found": round(sum(hits[row] for row in rows) / sum(named[row] for row in rows), 4),
            "empty_or_repeated": round(sum(spoiled[row] for row in rows) / (count * len(rows)), 4),
        }
        if recomposed:
            by_count[str(count)]["recomposition_psnr"] = round(float(np.mean([recomposed[row] for row in rows])), 2)
    return facts | {"by_layers": by_count}


def _in_contents(judge: Judge, case: Case, image: LayeredImage) -> int:
    """Layers that show any of the exact design's things, each thing counted once: named ones and those left open."""
    shown = set(judge.best_labels([layer.pixels for layer in image.layers]))
    return len(shown & set(case.design.contents.labels))


def held_facts(
    art: Art, judge: Judge, wanted: Sequence[Case], settings: SamplerSettings
) -> tuple[dict[str, Any], list[LayeredImage]]:
    """Image → layers, with the right pictures and with those of other designs; and one thing added to a design."""
    wholes = [case.design.image.whole() for case in wanted]
    others = wholes[5:] + wholes[:5]
    taken_apart = sampled(art, wanted, settings, lambda number: Held(merged=wholes[number]))
    shuffled = sampled(art, wanted, settings, lambda number: Held(merged=others[number]))
    own = [psnr(image.whole(), whole) for image, whole in zip(taken_apart, wholes, strict=True)]
    strange = [psnr(image.whole(), whole) for image, whole in zip(shuffled, wholes, strict=True)]
    labels = [case.design.contents.labels for case in wanted]
    right = [
        sum(
            a == b for a, b in zip(judge.best_labels([layer.pixels for layer in image.layers]), own_labels, strict=True)
        )
        for image, own_labels in zip(taken_apart, labels, strict=True)
    ]
    added, asked = _added(art, wanted, settings)
    shown = [judge.best_labels([image.layers[place].pixels])[0] for image, (place, _) in zip(added, asked, strict=True)]
    facts = {
        "image_to_layers_psnr": mean_rate(own).as_json(),
        "image_to_layers_psnr_of_shuffled_images": mean_rate(strange).as_json(),
        "image_to_layers_right_thing_in_its_box": Rate(right, [len(each) for each in labels]).as_json(),
        "added_layer_shows_what_was_asked": mean_rate(
            [float(label == named) for label, (_, named) in zip(shown, asked, strict=True)]
        ).as_json(),
    }
    return facts, taken_apart


def _added(
    art: Art, wanted: Sequence[Case], settings: SamplerSettings
) -> tuple[list[LayeredImage], list[tuple[int, str]]]:
    """The background and all layers but one held, the prompt names what is missing; its place and label."""
    vocabulary = load_vocabulary()
    asked, questions = [], []
    for number, case in enumerate(wanted):
        rng = np.random.default_rng([EVALUATION + 100, number])
        contents = case.design.contents
        missing = int(rng.integers(len(contents.labels)))
        base = scene_caption(vocabulary.scenes[contents.scene], contents.color, rng)
        label = contents.labels[missing]
        text = whole_caption([label], base, vocabulary.themes[contents.theme].title, rng)
        asked.append((missing, label))
        questions.append(replace(case, caption=Caption(text, (label,))))

    def held(number: int) -> Held:
        image = wanted[number].design.image
        others = {i: layer.pixels for i, layer in enumerate(image.layers) if i != asked[number][0]}
        return Held(background=image.base, layers=others)

    return sampled(art, questions, settings, held), asked


def choose(art: Art, judge: Judge, designs: int) -> None:
    """Prints what each guidance finds and spoils on designs that no figure is reported of.

    Guidance finds more of what is named and spoils more layers. The most is taken that spoils at most
    `SPOILED_AT_MOST` of them here.
    """
    wanted = cases(VALIDATION, designs)
    best = 1.0
    for scale in SCALES:
        facts = measured(judge, wanted, sampled(art, wanted, settings_for(art.settings, true_cfg=scale)))
        names = ("named_found", "empty_or_repeated", "recomposition_psnr")
        print({"true_cfg": scale} | {name: facts[name]["value"] for name in names}, flush=True)
        if facts["empty_or_repeated"]["value"] <= SPOILED_AT_MOST:
            best = max(best, scale)
    print(f"true_cfg {best:g}")


def picture(images: Sequence[LayeredImage], most_layers: int = LAYERS[1]) -> UInt8Array:
    """A row for each sample: the merged image, the recomposed one, the background and the layers."""
    tiles: list[UInt8Array] = []
    captions: list[str] = []
    blank = np.zeros((1, 1, 4), np.uint8)
    for image in images:
        assert image.merged is not None
        layers = [layer.pixels for layer in image.layers]
        tiles += [image.merged, image.whole(), image.base, *layers, *[blank] * (most_layers - len(layers))]
        captions += ["merged", "recomposed", "background", *[f"layer {i}" for i in range(len(layers))]]
        captions += [""] * (most_layers - len(layers))
    return contact_sheet(tiles, 3 + most_layers, (96, 96), captions)


def table(facts: dict[str, Any]) -> str:
    """Markdown of everything measured."""

    def percent(entry: dict[str, Any]) -> str:
        return f"{entry['value']:.1%} ({entry['interval'][0]:.1%}–{entry['interval'][1]:.1%})"

    def decibels(entry: dict[str, Any]) -> str:
        return f"{entry['value']:.1f} dB ({entry['interval'][0]:.1f}–{entry['interval'][1]:.1f})"

    drawn, exact, held = facts["samples"], facts["exact_designs"], facts["held"]
    rows = [
        ("designs, things named", f"{drawn['designs']}, {drawn['named']}"),
        ("named things found, one to one", percent(drawn["named_found"])),
        ("the same with the prompts of other designs (chance)", percent(drawn["named_found_by_chance"])),
        ("the same in the exact designs", percent(exact["named_found"])),
        ("things of the exact design shown, named or not", percent(drawn["exactly_the_designs_things"])),
        ("empty or repeated layers", percent(drawn["empty_or_repeated"])),
        ("the same in the exact designs", percent(exact["empty_or_repeated"])),
        ("recomposed against its own merged image", decibels(drawn["recomposition_psnr"])),
        ("image → layers, recomposed against the held image", decibels(held["image_to_layers_psnr"])),
        ("the same, given the images of other designs", decibels(held["image_to_layers_psnr_of_shuffled_images"])),
        ("image → layers, the right thing in its box", percent(held["image_to_layers_right_thing_in_its_box"])),
        ("an added layer shows what the prompt asks for", percent(held["added_layer_shows_what_was_asked"])),
    ]
    lines = ["| measured | value (95 % interval) |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    lines += ["", "| layers | designs | named found | empty or repeated | recomposed |", "|---|---|---|---|---|"]
    for count, entry in drawn["by_layers"].items():
        lines.append(
            f"| {count} | {entry['designs']} | {entry['named_found']:.0%} | {entry['empty_or_repeated']:.0%} "
            f"| {entry['recomposition_psnr']:.1f} dB |"
        )
    return "\n".join(lines)


def main() -> None:
    from benchmarks.machine import machine  # stands beside the packages and is not installed

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=TINY / "art")
    parser.add_argument("--designs", type=int, default=128, help="fewer for a trial; nothing is written then")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cfg", type=float, help="true CFG scale instead of the model's own")
    parser.add_argument("--choose", action="store_true", help="pick the guidance and do nothing else")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    art, judge = load_art(arguments.model), load_judge()
    if arguments.choose:
        choose(art, judge, arguments.designs)
        return
    settings = settings_for(art.settings, steps=arguments.steps, true_cfg=arguments.cfg)
    wanted = cases(EVALUATION, arguments.designs)
    begun = time.perf_counter()
    images = sampled(art, wanted, settings)
    seconds = (time.perf_counter() - begun) / len(wanted)
    held, _ = held_facts(art, judge, wanted, settings)
    facts = {
        "machine": machine(),
        "steps": settings.steps,
        "true_cfg": settings.true_cfg,
        "seconds_per_design": round(seconds, 2),
        "samples": measured(judge, wanted, images),
        "exact_designs": measured(judge, wanted, [case.design.image for case in wanted]),
        "held": held,
        "judge": judge.validity,
    }
    print(table(facts))
    if arguments.designs == parser.get_default("designs") and arguments.model == TINY / "art":
        RESULTS.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
        Image.fromarray(picture(images[:16])).save(PICTURE, optimize=True)
        for page in (TINY / "art" / "README.md", BENCHMARKS):
            write_section(page, "sampling", table(facts))


if __name__ == "__main__":
    main()
