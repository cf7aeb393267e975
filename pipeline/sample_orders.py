"""From the options of `layerprism sample` to what the model is asked for, design by design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from art_model.request import Held, Layout, SampleRequest
from layered import Box, Brief, BriefLayer, LayerRecord, UserError
from layered.arrays import Size, UInt8Array
from pipeline.anonymous_layouts import designed_layout, read_layout_file, scaled, with_added
from pipeline.holding import Given, load_held, parse_hold
from pipeline.plan import text_draw
from stages.multi_layer_flux import ComposeConfig, describe_layer, place_layer
from stages.records import TextLayer
from stages.text_layer import TextConfig, draw_text


@dataclass(frozen=True)
class SampleOptions:
    """The options of the command that say what to draw.

    Attributes:
        prompt: of all designs; None takes each brief's own.
        layout: a file of briefs or of ART's layouts; None asks the designer, or takes the held sample's boxes.
        layers: foreground layers of a designed layout.
        hold: ``PATH[:parts]``, see `parse_hold`.
        add: boxes of further layers, put on top.
        negative_prompt: what the guidance leads away from.
        samples: designs per layout, which differ by their ids and so by their noise.
        side: longer side in pixels that layouts are scaled to; None leaves them.
    """

    prompt: str | None = None
    layout: Path | None = None
    layers: int | None = None
    hold: str | None = None
    add: tuple[str, ...] = ()
    negative_prompt: str = ""
    seed: int = 0
    samples: int = 1
    side: int | None = None


@dataclass(frozen=True, eq=False)
class Order:
    """One design to draw.

    Attributes:
        brief: the layout that was asked for. Its base caption is that of the held background, or empty: the model
            reads the prompt alone.
        request: what the model is given: text layers drawn, boxes of held layers as tight as these are.
        records: of the held layers, who drew them.
        base: who drew the held background, as provenance; empty where it is not held.
    """

    brief: Brief
    request: SampleRequest
    records: Mapping[int, LayerRecord] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)


def read_orders(options: SampleOptions, canvas: Size) -> list[Order]:
    """Everything to draw, in order.

    Args:
        canvas: of designed layouts.

    Raises:
        UserError: for files that cannot be read, options that contradict each other and parts that do not fit.
    """
    if options.side is not None and options.hold is not None:
        raise UserError("--side would scale what --hold keeps as it is: leave one of them out")
    if options.layers is not None and (options.layout or options.hold):
        raise UserError("--layers is for the designer's layouts: leave it out beside --layout and --hold")
    given = load_held(parse_hold(options.hold)) if options.hold else None
    return [_order(_completed(brief, options), options, given) for brief in _briefs(options, canvas, given)]


def _briefs(options: SampleOptions, canvas: Size, given: Given | None) -> Iterator[Brief]:
    """The layouts as they are found, named."""
    if options.layout is None and given is None:
        for number in range(options.samples):
            yield _numbered(designed_layout(canvas, options.layers, options.seed, number), "sample", number)
        return
    if options.layout is not None:
        briefs = read_layout_file(options.layout)
    elif given is not None and given.brief is not None:
        briefs = [given.brief]
    else:
        raise UserError("--hold with a picture needs --layout: the boxes to take it apart into")
    for brief in briefs:
        for number in range(options.samples):
            yield brief if options.samples == 1 else _numbered(brief, brief.id, number)


def _numbered(brief: Brief, name: str, number: int) -> Brief:
    return brief.model_copy(update={"id": f"{name}-{number:02d}"})


def _completed(brief: Brief, options: SampleOptions) -> Brief:
    """The brief with the size, the prompt and the boxes of the options."""
    if options.side is not None:
        brief = scaled(brief, options.side)
    if options.prompt is not None:
        # The brief's style is one of its words, which the prompt replaces.
        brief = brief.model_copy(update={"whole_caption": options.prompt, "style": ""})
    if not brief.whole_caption.strip():
        raise UserError(f"{brief.id}: the prompt is empty: write a whole_caption, or give --prompt")
    return with_added(brief, options.add)


def _order(brief: Brief, options: SampleOptions, given: Given | None) -> Order:
    if given and given.brief and given.brief.canvas != brief.canvas:
        raise UserError(
            f"{brief.id}: its canvas {list(brief.canvas)} is not the held sample's, {list(given.brief.canvas)}"
        )
    held = given.held if given else Held()
    kept = given.brief.base_caption if given and given.brief and held.background is not None else ""
    brief = brief.model_copy(update={"base_caption": kept})
    boxes = {index: layer.placed_box() for index, layer in enumerate(brief.layers)}
    layers: dict[int, UInt8Array] = dict(held.layers)
    records = dict(given.records) if given else {}
    # A held layer stands where it stood; one beyond the layout is refused with the request.
    boxes |= {index: box for index, box in (given.boxes if given else {}).items() if index in boxes}
    for index, layer in enumerate(brief.layers):
        if layer.kind == "text" and index not in layers:
            layers[index], boxes[index], records[index] = _drawn_text(brief.id, index, layer)
    request = SampleRequest(
        brief.whole_caption,
        Layout(brief.canvas, tuple(boxes[index] for index in sorted(boxes))),
        options.negative_prompt,
        replace(held, layers=layers),
        brief.id,
        options.seed,
    )
    return Order(brief, request, records, given.base if given else {})


def _drawn_text(sample_id: str, index: int, wanted: BriefLayer) -> tuple[UInt8Array, Box, LayerRecord]:
    """A text layer as the font stage draws it, where it stands, and who drew it."""
    request = text_draw(sample_id, index, wanted)
    try:
        rgba = draw_text(request.text, request.font, request.color, request.box.size, TextConfig())
    except UserError as error:
        raise UserError(f"{sample_id}: layer {index}: {error}") from error
    drawn = TextLayer(request, rgba)
    placed = place_layer(index, drawn, request.box, ComposeConfig())
    return placed.pixels, placed.box, describe_layer(index, wanted, drawn, placed)
