"""Captions to learn from: what a run will really send, and enough other wordings that nothing breaks."""

import numpy as np

from models.vocabulary import Scene, Vocabulary, load_vocabulary


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


def every_wording(vocabulary: Vocabulary) -> list[str]:
    """Texts that together hold every word that the vocabulary knows; the tokenizers are built from them."""
    return sorted(vocabulary.words)
