"""Captions to learn from: what a run will really send, and enough other wordings that nothing breaks."""

import numpy as np

from models.vocabulary import Scene, load_vocabulary


def layer_phrase(label: str, rng: np.random.Generator) -> str:
    """ "a red apple", "an apple", "some grapes", "a blue circle"."""
    vocabulary = load_vocabulary()
    if label not in vocabulary.concepts:
        return vocabulary.label_caption(label)
    concept = vocabulary.concepts[label]
    named = bool(concept.colors) and rng.random() < 0.5
    return concept.caption(str(rng.choice(concept.colors)) if named else None)


def reworded(phrase: str, wordings: tuple[str, ...], rng: np.random.Generator) -> str:
    """The phrase as it is (one time in two) or in another template of a layer's caption."""
    if rng.random() < 0.5:
        return phrase
    name = phrase.split(" ", 1)[1]
    return str(rng.choice(wordings)).format(caption=phrase, name=name)


def layer_prompt(label: str, style: str, rng: np.random.Generator) -> str:
    """A prompt for one layer: caption, style, suffix; the default style is left out now and then."""
    vocabulary = load_vocabulary()
    phrase = layer_phrase(label, rng)
    if rng.random() < 0.3:
        phrase = reworded(phrase, vocabulary.templates.layer, rng)
    suffix = vocabulary.suffixes[0] if rng.random() < 0.5 else str(rng.choice(vocabulary.suffixes))
    if style == vocabulary.default_style and rng.random() < 0.15:
        return f"{phrase}, {suffix}"
    return vocabulary.templates.prompt.format(caption=phrase, style=style, suffix=suffix)


def scene_caption(scene: Scene, color: str | None, rng: np.random.Generator) -> str:
    return scene.caption(color, wording=0 if rng.random() < 0.7 else int(rng.integers(len(scene.captions))))


def base_prompt(scene: Scene, color: str | None, style: str, rng: np.random.Generator) -> str:
    """A prompt for a base image: caption and style, without a suffix."""
    vocabulary = load_vocabulary()
    phrase = scene_caption(scene, color, rng)
    if style == vocabulary.default_style and rng.random() < 0.4:
        return phrase
    return vocabulary.templates.base_prompt.format(caption=phrase, style=style)


def things_phrase(labels: list[str], rng: np.random.Generator) -> str:
    """ "two dogs, a red apple and a blue circle" for the labels in the order of their first appearance."""
    vocabulary = load_vocabulary()
    phrases = []
    for label in dict.fromkeys(labels):
        count = labels.count(label)
        if count == 1:
            phrases.append(layer_phrase(label, rng))
        else:
            phrases.append(f"{vocabulary.counting[count - 1]} {vocabulary.plural(label)}")
    if len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def whole_caption(labels: list[str], base: str, title: str, rng: np.random.Generator) -> str:
    """A caption of a whole design in one of the vocabulary's wordings."""
    template = str(rng.choice(load_vocabulary().templates.whole))
    return template.format(things=things_phrase(labels, rng), base=base, title=title)
