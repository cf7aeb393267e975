"""The page of an evaluation: its tables, its charts, and the pictures of each brief side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from layered import LayeredImage
from layered.rendering import encode_webp
from pipeline.evaluate import Evaluation
from pipeline.evaluate_config import folder_name

PICTURES_FOLDER: Final = "pictures"
_WHOLE_SIDE: Final = 384
_LAYER_SIDE: Final = 112


@dataclass(frozen=True)
class ShownDesign:
    """One design in a row of the page: names of its picture files, relative to the page."""

    title: str
    note: str
    whole: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class ShownBrief:
    """A brief, and what each model made of it; the true design, where there is one, comes first."""

    id: str
    caption: str
    named: str
    designs: tuple[ShownDesign, ...]


def render_page(
    evaluation: Evaluation, rows: Sequence[tuple[str, list[str]]], notes: Sequence[str]
) -> tuple[str, dict[str, bytes]]:
    """The page, every text from outside escaped, and the pictures that it shows: file name → WebP bytes."""
    pictures: dict[str, bytes] = {}
    briefs = [_shown(evaluation, place, pictures) for place in _places_shown(evaluation)]
    environment = Environment(
        loader=PackageLoader("pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = [model.name for model in evaluation.models] + ([evaluation.truth.name] if evaluation.truth else [])
    page = environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation, columns=columns, rows=rows, notes=notes, briefs=briefs
    )
    return page, pictures


def _places_shown(evaluation: Evaluation) -> list[int]:
    """The first picture of the first briefs, as places in `wanted`."""
    first = {each.item.brief.id: place for place, each in reversed(list(enumerate(evaluation.wanted)))}
    return sorted(first.values())[: evaluation.config.pictures]


def _shown(evaluation: Evaluation, place: int, pictures: dict[str, bytes]) -> ShownBrief:
    wanted = evaluation.wanted[place]
    item = wanted.item
    designs = []
    truth = evaluation.bench.truth(item)
    if truth is not None:
        designs.append(_design("true design", "", truth, f"{wanted.key}.truth", pictures))
    for name, made in evaluation.drawn.items():
        image, _ = made.samples.sample(made.sample_of[wanted.key])
        found = evaluation.measured[name][place].found
        note = f"{len(found)} of {len(item.named)} found" if item.named else ""
        designs.append(_design(name, note, image, f"{wanted.key}.{folder_name(name)}", pictures))
    return ShownBrief(item.brief.id, item.brief.whole_caption, ", ".join(item.named), tuple(designs))


def _design(title: str, note: str, image: LayeredImage, name: str, pictures: dict[str, bytes]) -> ShownDesign:
    def kept(part: str, data: bytes) -> str:
        path = f"{PICTURES_FOLDER}/{name}.{part}.webp"
        pictures[path] = data
        return path

    return ShownDesign(
        title,
        note,
        kept("whole", encode_webp(image.whole(), _WHOLE_SIDE)),
        (
            kept("base", encode_webp(image.base, _LAYER_SIDE)),
            *(
                kept(f"layer_{index:02d}", encode_webp(layer.pixels, _LAYER_SIDE))
                for index, layer in enumerate(image.layers)
            ),
        ),
    )
