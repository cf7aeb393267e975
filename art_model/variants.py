"""Other designs made of one design's own layers: some left out, moved or grouped.

Each of them changes what the whole shows, so a variant is a design of its own: recomposed, captioned by what is left,
encoded and cached like any sample. All of it follows from (seed, sample, variant), whatever else a set holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.pixels import premultiply, unpremultiply
from layered.seeds import derive_seed
from layered.sidecar import LayerRecord, Sidecar

Kind = Literal["image", "text"]

_TRIES = 20  # of places to move a layer to


class VariantConfig(BaseModel):
    """How many variants of each sample are learnt from, and how they are made. The sample itself is one of them.

    Attributes:
        count: variants of a sample, itself included; 1 makes no others. A sample of which nothing can be changed has
            fewer.
        drop: chance that a variant lacks some layers; one stays at least.
        move: chance that layers which touch no other layer are moved to another free place. Text layers stay.
        group: chance that neighbours which overlap become one layer. Text layers stay alone.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    count: int = Field(1, ge=1)
    drop: float = Field(0.5, ge=0, le=1)
    move: float = Field(0.3, ge=0, le=1)
    group: float = Field(0.3, ge=0, le=1)


@dataclass(frozen=True)
class PromptParts:
    """What a caption is made of.

    Attributes:
        opening: the first sentence if it only names the style ("This is a pixel style image."), or empty.
        base: caption of the base image.
        layers: captions bottom to top; of a group, those of its members. Empty where there is none.
    """

    opening: str
    base: str
    layers: tuple[str, ...]

    @property
    def caption(self) -> str:
        """One caption that names what is there and nothing else; empty when no part has one.

        Phrases become "a cat, a red apple and a dog on a beach"; as soon as one part is a sentence, sentences.
        """
        named = [caption for caption in self.layers if caption]
        if any(part.endswith((".", "!", "?")) for part in (self.base, *named)):
            text = " ".join(_as_sentence(part) for part in (self.base, *named) if part)
        else:
            things = " and ".join(filter(None, (", ".join(named[:-1]), *named[-1:])))
            text = " on ".join(filter(None, (things, self.base)))
        return " ".join(filter(None, (self.opening, text))) if text else ""


@dataclass(frozen=True, eq=False)
class Variant:
    """One design to learn from.

    Attributes:
        image: without a merged image: the whole is what its own layers make.
        kinds: of the layers, bottom to top.
        prompt: the caption of the whole. It names nothing that was left out, and no place that something has left.
        changes: ``drop``, ``move``, ``group``; none for the sample itself.
    """

    image: LayeredImage
    kinds: tuple[Kind, ...]
    prompt: str
    parts: PromptParts
    changes: tuple[str, ...] = ()


def variant_of(
    image: LayeredImage, sidecar: Sidecar, variant: int, config: VariantConfig, *, seed: int
) -> Variant | None:
    """A variant of a sample, a pure function of its arguments; 0 is the sample itself.

    Returns:
        None where nothing can be changed: a single layer, nothing that overlaps or has room, or no captions to tell
        what is left by.
    """
    parts = PromptParts(_opening(sidecar), sidecar.base_caption, tuple(map(_caption, sidecar.layers)))
    itself = Variant(
        replace(image, merged=None),
        tuple(record.kind for record in sidecar.layers),
        sidecar.whole_caption or parts.caption,
        parts,
    )
    if variant == 0:
        return itself
    rng = np.random.default_rng(derive_seed(seed, sidecar.id, -1, variant, "variant"))
    changes = {"drop": _drop, "move": _move, "group": _group}
    wanted = [name for name, chance in zip(changes, rng.random(3), strict=True) if chance < getattr(config, name)]
    # Where none of them is possible or was drawn, the others have their turn: a variant differs from its sample.
    others = [name for name in rng.permutation(list(changes)).tolist() if name not in wanted and getattr(config, name)]
    current = itself
    for name in wanted:
        current = changes[name](current, rng) or current
    for name in others:
        if not current.changes:
            current = changes[name](current, rng) or current
    return current if current.changes else None


def _drop(variant: Variant, rng: np.random.Generator) -> Variant | None:
    count = len(variant.image.layers)
    if count < 2:
        return None
    leave_out = int(min(rng.integers(1, count, 2)))  # rather few
    kept = sorted(rng.permutation(count)[leave_out:].tolist())
    parts = replace(variant.parts, layers=tuple(variant.parts.layers[index] for index in kept))
    if not _names_all(parts):
        return None
    return Variant(
        replace(variant.image, layers=tuple(variant.image.layers[index] for index in kept)),
        tuple(variant.kinds[index] for index in kept),
        parts.caption,
        parts,
        (*variant.changes, "drop"),
    )


def _move(variant: Variant, rng: np.random.Generator) -> Variant | None:
    """Moves every second free layer, on average, to where it still touches no other one and stays on the canvas."""
    if not _names_all(variant.parts):  # the caption may tell where things stood
        return None
    layers = list(variant.image.layers)
    canvas = Box.canvas(variant.image.canvas)
    free = [
        index
        for index, layer in enumerate(layers)
        if variant.kinds[index] == "image" and canvas.contains(layer.box) and not _touched(layer.box, layers, index)
    ]
    moved = False
    for index in rng.permutation(free).tolist():
        if moved and rng.random() < 0.5:
            continue
        width, height = layers[index].box.size
        for _ in range(_TRIES):
            x, y = int(rng.integers(canvas.width - width + 1)), int(rng.integers(canvas.height - height + 1))
            box = Box(x, y, x + width, y + height)
            if box != layers[index].box and not _touched(box, layers, index):
                layers[index] = Layer(layers[index].pixels, box)
                moved = True
                break
    if not moved:
        return None
    image = replace(variant.image, layers=tuple(layers))
    return replace(variant, image=image, prompt=variant.parts.caption, changes=(*variant.changes, "move"))


def _group(variant: Variant, rng: np.random.Generator) -> Variant | None:
    """Makes one layer of two neighbours in the stack whose boxes overlap."""
    layers = variant.image.layers
    pairs = [
        index
        for index in range(len(layers) - 1)
        if variant.kinds[index] == variant.kinds[index + 1] == "image"
        and layers[index].box.intersection(layers[index + 1].box)
    ]
    if not pairs:
        return None
    lower = int(rng.choice(pairs))
    captions = [caption for caption in variant.parts.layers[lower : lower + 2] if caption]
    joined = " ".join(map(_as_sentence, captions)) if _has_sentence(captions) else " and ".join(captions)
    if len(captions) < 2:
        joined = ""  # half a name is none
    parts = variant.parts.layers
    group = _grouped(layers[lower : lower + 2])
    return replace(
        variant,
        image=replace(variant.image, layers=(*layers[:lower], group, *layers[lower + 2 :])),
        kinds=(*variant.kinds[:lower], "image", *variant.kinds[lower + 2 :]),
        parts=replace(variant.parts, layers=(*parts[:lower], joined, *parts[lower + 2 :])),
        changes=(*variant.changes, "group"),
    )


def _grouped(layers: Sequence[Layer]) -> Layer:
    """Layers over each other in one: the *over* operator on premultiplied colour, rounded once."""
    box = layers[0].box
    for layer in layers[1:]:
        box = box.union(layer.box)
    mixed = np.zeros((box.height, box.width, 4), np.float32)
    for layer in layers:
        above = premultiply(layer.pixels)
        below = mixed[layer.box.shifted(-box.x0, -box.y0).pixels()]
        below *= 1 - above[..., 3:]
        below += above
    return Layer(unpremultiply(mixed), box)


def _touched(box: Box, layers: Sequence[Layer], own: int) -> bool:
    return any(index != own and box.intersection(other.box) for index, other in enumerate(layers))


def _names_all(parts: PromptParts) -> bool:
    """Whether a caption made of the parts tells everything that is there."""
    return bool(parts.layers) and all(parts.layers)


def _caption(record: LayerRecord) -> str:
    return record.caption or (f'text that says "{record.text}"' if record.text else "")


def _opening(sidecar: Sidecar) -> str:
    found = re.match(r"This is an? [^.]*style image\.", sidecar.whole_caption)
    return found.group() if found else ""


def _has_sentence(captions: Sequence[str]) -> bool:
    return any(caption.endswith((".", "!", "?")) for caption in captions)


def _as_sentence(caption: str) -> str:
    return caption if caption.endswith((".", "!", "?")) else f"{caption}."
