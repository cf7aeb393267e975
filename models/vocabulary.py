"""The closed world of the embedded models: what they can draw, recognise and read.

The entries stand in `configs/vocabulary.yaml`; this module gives them types and answers questions about captions.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

_WORD = re.compile(r"[a-z0-9]+")
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that can be drawn, learned from one emoji."""

    name: str
    emoji: str
    category: str
    size: float  # typical longer side as a part of the canvas's shorter side
    colors: tuple[str, ...]  # true of it, so they may stand before the name
    article: str  # "a", "an" or "some", as it stands before the bare name
    plural: str

    def caption(self, color: str | None = None) -> str:
        """The caption of one of it: "an apple", "a red apple", "some purple grapes"."""
        if color is None:
            return f"{self.article} {self.name}"
        article = "some" if self.article == "some" else _article(color)
        return f"{article} {color} {self.name}"


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of base image."""

    name: str
    captions: tuple[str, ...]  # the first is the usual one; may hold "{color}"

    @property
    def takes_color(self) -> bool:
        return "{color}" in self.captions[0]

    def caption(self, color: str | None = None, wording: int = 0) -> str:
        """A caption of it; `color` must be given exactly when the scene takes one."""
        if (color is not None) != self.takes_color:
            raise ValueError(f"scene {self.name}: a colour is {'needed' if self.takes_color else 'not taken'}")
        return self.captions[wording].format(color=color)


@dataclass(frozen=True, slots=True)
class Theme:
    """Concepts and scenes that go together."""

    name: str
    title: str  # noun phrase for the whole, "a day at the beach"
    concepts: tuple[str, ...]  # empty for the theme of plain shapes
    scenes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Templates:
    """Wordings with slots; the first of each tuple is the usual one. The slots are explained in the YAML."""

    prompt: str
    base_prompt: str
    layer: tuple[str, ...]
    whole: tuple[str, ...]
    base: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """Everything of `configs/vocabulary.yaml`, in the file's order, which is the order of class numbers."""

    concepts: Mapping[str, Concept]
    shapes: tuple[str, ...]
    colors: Mapping[str, tuple[int, int, int]]
    scenes: Mapping[str, Scene]
    themes: Mapping[str, Theme]
    default_style: str
    styles: tuple[str, ...]
    templates: Templates
    suffixes: tuple[str, ...]
    counting: tuple[str, ...]
    words: frozenset[str]  # every single word that the models can read, lower case

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """All that a layer can show: every concept by name, then every "<colour> <shape>"."""
        return (*self.concepts, *(f"{color} {shape}" for shape in self.shapes for color in self.colors))

    def unknown_words(self, text: str) -> list[str]:
        """The words of `text` that the models cannot read, in order, each once; quoted text is not looked at."""
        seen = dict.fromkeys(_WORD.findall(_QUOTED.sub(" ", text.lower())))
        return [word for word in seen if word not in self.words]

    def concept_in(self, caption: str) -> str | None:
        """The label (a concept's name or "<colour> <shape>") that a layer's caption names, or None.

        The longest name wins ("angry face" before a shorter match), then the leftmost. A shape without a
        colour is None.
        """
        text = " ".join(_WORD.findall(caption.lower()))
        found = [(-len(match.group()), match.start(), match.group()) for match in self._names.finditer(text)]
        return self._label_of_name[min(found)[2]] if found else None

    @functools.cached_property
    def _label_of_name(self) -> dict[str, str]:
        names = {label: label for label in self.labels}
        for concept in self.concepts.values():
            names.setdefault(concept.plural, concept.name)
        for shape in self.shapes:
            for color in self.colors:
                names[f"{color} {_plural(shape)}"] = f"{color} {shape}"
        return names

    @functools.cached_property
    def _names(self) -> re.Pattern[str]:
        longest_first = sorted(self._label_of_name, key=lambda name: (-len(name), name))
        return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")

    def shape_caption(self, color: str, shape: str) -> str:
        """ "an orange circle"."""
        return f"{_article(color)} {color} {shape}"

    def label_caption(self, label: str) -> str:
        """The plain caption of any of `labels`."""
        if label in self.concepts:
            return self.concepts[label].caption()
        color, shape = label.split(" ")
        return self.shape_caption(color, shape)

    def plural(self, label: str) -> str:
        """ "foxes", "red circles"."""
        return self.concepts[label].plural if label in self.concepts else _plural(label)


@functools.cache
def load_vocabulary() -> Vocabulary:
    """Reads `configs/vocabulary.yaml` once per process."""
    raw: dict[str, Any] = yaml.safe_load(files("configs").joinpath("vocabulary.yaml").read_text("utf-8"))
    concepts = {name: _concept(name, entry) for name, entry in raw["concepts"].items()}
    scenes = {name: Scene(name, tuple(entry["captions"])) for name, entry in raw["scenes"].items()}
    themes = {
        name: Theme(name, entry["title"], tuple(entry["concepts"]), tuple(entry["scenes"]))
        for name, entry in raw["themes"].items()
    }
    templates = raw["templates"]
    readable = [
        *concepts,
        *(concept.plural for concept in concepts.values()),
        *raw["shapes"],
        *map(_plural, raw["shapes"]),
        *raw["colors"],
        *(caption for scene in scenes.values() for caption in scene.captions),
        *(theme.title for theme in themes.values()),
        *themes,
        *raw["styles"],
        templates["prompt"],
        *templates["layer"],
        *templates["whole"],
        *templates["base"],
        *raw["suffixes"],
        *raw["counting"],
        *raw["words"],
    ]
    slots = re.compile(r"{[a-z]+}")
    words = frozenset(word for text in readable for word in _WORD.findall(slots.sub(" ", text.lower())))
    return Vocabulary(
        concepts=concepts,
        shapes=tuple(raw["shapes"]),
        colors={name: (rgb[0], rgb[1], rgb[2]) for name, rgb in raw["colors"].items()},
        scenes=scenes,
        themes=themes,
        default_style=raw["default_style"],
        styles=tuple(raw["styles"]),
        templates=Templates(
            prompt=templates["prompt"],
            base_prompt=templates["base_prompt"],
            layer=tuple(templates["layer"]),
            whole=tuple(templates["whole"]),
            base=tuple(templates["base"]),
        ),
        suffixes=tuple(raw["suffixes"]),
        counting=tuple(raw["counting"]),
        words=words,
    )


def _concept(name: str, entry: Mapping[str, Any]) -> Concept:
    return Concept(
        name=name,
        emoji=entry["emoji"],
        category=entry["category"],
        size=float(entry["size"]),
        colors=tuple(entry["colors"]),
        article=entry.get("article", _article(name)),
        plural=entry.get("plural", _plural(name)),
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
