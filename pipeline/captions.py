"""Captions of designs whose content is known exactly: counted, joined, and inside the vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from models.vocabulary import Vocabulary


@dataclass(frozen=True, order=True)
class Thing:
    """What one layer shows: a concept's name or "<colour> <shape>", and the colour said of a concept, if any."""

    label: str
    color: str = ""

    def caption(self, vocabulary: Vocabulary) -> str:
        """ "a red apple"."""
        if self.label in vocabulary.concepts:
            return vocabulary.concepts[self.label].caption(self.color or None)
        return vocabulary.label_caption(self.label)

    def counted(self, count: int, vocabulary: Vocabulary) -> str:
        """ "three red apples"; one is told as its caption."""
        if count == 1:
            return self.caption(vocabulary)
        number = vocabulary.counting[count - 1] if count <= len(vocabulary.counting) else "many"
        return " ".join(filter(None, (number, self.color, vocabulary.plural(self.label))))


def list_things(things: Sequence[Thing], vocabulary: Vocabulary) -> str:
    """ "two dogs, a tree and a red apple": equal things counted, in the order of their first appearance."""
    phrases = [thing.counted(count, vocabulary) for thing, count in Counter(things).items()]
    return joined(phrases)


def joined(phrases: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c". Raises ValueError when there is nothing to join."""
    if not phrases:
        raise ValueError("there is nothing to join")
    return " and ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))
